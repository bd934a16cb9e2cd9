// Buttons behind which something opens. What opens is a piece of its own (`overlays.tsx`), which is
// fetched when somebody first moves, touches or types: drawing a page does without it.
import { type ComponentType, type KeyboardEvent, lazy, useRef, useState } from "react";
import type * as Overlays from "./overlays";

let here: typeof Overlays | null = null;
const fetched = async () => (here ??= await import("./overlays"));

/** Drawn at once where it has been fetched: what is typed meanwhile is not lost. */
function piece<P extends object>(of: (all: typeof Overlays) => ComponentType<P>): ComponentType<P> {
  const Late = lazy(async () => ({ default: of(await fetched()) })) as unknown as ComponentType<P>;
  return function Piece(props: P) {
    const [Now] = useState<ComponentType<P>>(() => (here ? of(here) : Late));
    return <Now {...props} />;
  };
}

export const OpenList = piece((all) => all.OpenList);
export const OpenMenu = piece((all) => all.OpenMenu);
export const OpenDialog = piece((all) => all.OpenDialog);

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
