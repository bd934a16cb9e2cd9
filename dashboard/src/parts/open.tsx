// Buttons behind which something opens. What opens is a piece of its own (`overlays.tsx`), which is
// fetched when somebody first moves, touches or types: drawing a page does without it.
import { type KeyboardEvent, lazy, useRef, useState } from "react";

const fetched = () => import("./overlays");
export const OpenList = lazy(async () => ({ default: (await fetched()).OpenList }));
export const OpenMenu = lazy(async () => ({ default: (await fetched()).OpenMenu }));
export const OpenDialog = lazy(async () => ({ default: (await fetched()).OpenDialog }));

for (const sign of ["pointermove", "pointerdown", "keydown"]) window.addEventListener(sign, () => void fetched(), { once: true, passive: true });

/** What a button needs, behind which a list or a menu opens; arrows open it as well. */
export function useOpening(what: "listbox" | "menu") {
  const trigger = useRef<HTMLButtonElement>(null);
  const [open, setOpen] = useState(false);
  const button = {
    ref: trigger,
    type: "button",
    "aria-haspopup": what,
    "aria-expanded": open,
    onClick: () => setOpen(true),
    onKeyDown: (event: KeyboardEvent) => {
      if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
      event.preventDefault();
      setOpen(true);
    },
  } as const;
  return { open, close: () => setOpen(false), trigger, button };
}
