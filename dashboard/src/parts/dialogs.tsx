// Dialogs, and the menu behind a button.
import { type ReactNode, Suspense } from "react";
import { useMutation } from "@tanstack/react-query";
import { t } from "../words";
import { Button, Failure } from "./basic";
import { Icon, type IconName } from "./icons";
import { OpenDialog, OpenMenu, useOpening } from "./open";

export function Dialog({ open, ...rest }: { title: string; open: boolean; onClose: () => void; wide?: boolean; urgent?: boolean; fixed?: boolean; /** There is something that would be lost. */ dirty?: boolean; children: ReactNode }) {
  return open ? (
    <Suspense fallback={null}>
      <OpenDialog {...rest} />
    </Suspense>
  ) : null;
}

/** Asks before something that cannot be undone. */
export function Confirm({ title, open, onClose, act, verb, children }: { title: string; open: boolean; onClose: () => void; act: () => Promise<unknown>; verb: string; children?: ReactNode }) {
  const doing = useMutation({ mutationFn: act, onSuccess: onClose });
  return (
    <Dialog title={title} open={open} onClose={onClose} urgent>
      <div className="quiet">{children}</div>
      <Failure error={doing.error} />
      <div className="foot">
        <Button onPress={onClose}>{t("cancel")}</Button>
        <Button look="danger strong" isDisabled={doing.isPending} onPress={() => doing.mutate()}>
          {verb}
        </Button>
      </div>
    </Dialog>
  );
}

export type MenuEntry = { id: string; label: string; act: () => void };

export function Menu({ label, entries, icon = "more", look = "bare", children }: { label: string; entries: MenuEntry[]; icon?: IconName; look?: string; children?: ReactNode }) {
  const { open, close, trigger, button } = useOpening("menu");
  return (
    <>
      <button {...button} className={`button ${look} ${children ? "" : "icon"}`} aria-label={children ? undefined : label}>
        {children ?? <Icon name={icon} />}
      </button>
      {open && (
        <Suspense fallback={null}>
          <OpenMenu trigger={trigger} label={label} onClose={close} sections={[{ entries }]} onAct={(id) => entries.find((each) => each.id === id)?.act()} />
        </Suspense>
      )}
    </>
  );
}
