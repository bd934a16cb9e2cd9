// Dialogs, and the menu behind a button.
import type { ReactNode } from "react";
import { Dialog as AriaDialog, Heading } from "react-aria-components/Dialog";
import { Menu as AriaMenu, MenuItem, MenuTrigger } from "react-aria-components/Menu";
import { Modal, ModalOverlay } from "react-aria-components/Modal";
import { Popover } from "react-aria-components/Popover";
import { useMutation } from "@tanstack/react-query";
import { t } from "../words";
import { Button, Failure } from "./basic";
import type { IconName } from "./icons";

export function Dialog({ title, open, onClose, wide, children, urgent, fixed }: { title: string; open: boolean; onClose: () => void; wide?: boolean; urgent?: boolean; fixed?: boolean; children: ReactNode }) {
  return (
    <ModalOverlay className="modal-veil" isOpen={open} onOpenChange={(is) => !is && onClose()} isDismissable={!urgent && !fixed} isKeyboardDismissDisabled={fixed}>
      <Modal className={wide ? "modal wide" : "modal"}>
        <AriaDialog role={urgent ? "alertdialog" : "dialog"}>
          <Heading slot="title" level={2}>
            {title}
          </Heading>
          {children}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
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
  return (
    <MenuTrigger>
      <Button look={look} icon={children ? undefined : icon} aria-label={label}>
        {children}
      </Button>
      <Popover className="popover">
        <AriaMenu aria-label={label} onAction={(key) => entries.find((each) => each.id === key)?.act()}>
          {entries.map((each) => (
            <MenuItem key={each.id} id={each.id} className="item">
              {each.label}
            </MenuItem>
          ))}
        </AriaMenu>
      </Popover>
    </MenuTrigger>
  );
}
