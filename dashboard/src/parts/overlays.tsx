// What opens over a page: lists to choose from, menus and dialogs. A piece of its own, which the
// page fetches once it is drawn (`open.tsx`): closed, all of them are plain buttons or nothing.
import { type KeyboardEvent, type MouseEvent, type ReactNode, type RefObject, useRef, useState } from "react";
import { Dialog as AriaDialog, Heading } from "react-aria-components/Dialog";
import { Header } from "react-aria-components/Header";
import { ListBox, ListBoxItem } from "react-aria-components/ListBox";
import { Menu as AriaMenu, MenuItem, MenuSection } from "react-aria-components/Menu";
import { Modal, ModalOverlay } from "react-aria-components/Modal";
import { Popover } from "react-aria-components/Popover";
import type { Choice } from "./select";
import { Unsaved } from "./unsaved";

type Behind = { trigger: RefObject<HTMLButtonElement | null>; onClose: () => void };

export function OpenList({ trigger, labelledBy, onClose, choices, value, onChoose }: Behind & { labelledBy: string; choices: Choice[]; value: string | null; onChoose: (id: string) => void }) {
  // The one that is chosen already says nothing when it is chosen again, but closes as well.
  const again = (event: MouseEvent | KeyboardEvent) => {
    if (event.target instanceof Element && event.target.closest('[role="option"][aria-selected="true"]')) onClose();
  };
  // The key that opened the list is let go over it: only one that went down here counts.
  const down = useRef(false);
  return (
    <Popover className="popover" aria-labelledby={labelledBy} triggerRef={trigger} isOpen onOpenChange={(is) => !is && onClose()}>
      <div
        onClick={again}
        onKeyDownCapture={(event) => (down.current ||= !event.repeat)}
        onKeyUp={(event) => down.current && (event.key === "Enter" || event.key === " ") && again(event)}
      >
        <ListBox
          aria-labelledby={labelledBy}
          autoFocus="first"
          items={choices}
          selectionMode="single"
          disallowEmptySelection
          selectedKeys={value === null ? [] : [value]}
          onSelectionChange={(keys) => {
            const [key] = keys as Set<string>;
            if (key !== undefined) onChoose(String(key));
            onClose();
          }}
        >
          {(choice) => (
            <ListBoxItem className="item" id={choice.id} textValue={choice.label}>
              {choice.label}
              {choice.note && <span className="quiet">{choice.note}</span>}
            </ListBoxItem>
          )}
        </ListBox>
      </div>
    </Popover>
  );
}

/** `chosen`: the entry of a section of which one always is. */
export type Section = { title?: string; chosen?: string; entries: { id: string; label: string }[] };

export function OpenMenu({ trigger, label, onClose, sections, onAct, placement }: Behind & { label: string; sections: Section[]; onAct: (id: string) => void; placement?: "top start" }) {
  return (
    <Popover className="popover" aria-label={label} triggerRef={trigger} placement={placement} isOpen onOpenChange={(is) => !is && onClose()}>
      <AriaMenu aria-label={label} autoFocus="first" onAction={(key) => onAct(String(key))} onClose={onClose}>
        {sections.map((section, n) => (
          <MenuSection key={n} aria-label={section.title ?? label} {...(section.chosen === undefined ? {} : { selectionMode: "single", selectedKeys: [section.chosen] } as const)}>
            {section.title && <Header className="menu-title">{section.title}</Header>}
            {section.entries.map((each) => (
              <MenuItem key={each.id} id={each.id} className="item">
                {each.label}
              </MenuItem>
            ))}
          </MenuSection>
        ))}
      </AriaMenu>
    </Popover>
  );
}

export function OpenDialog({ title, onClose, wide, urgent, fixed, dirty, children }: { title: string; onClose: () => void; wide?: boolean; urgent?: boolean; fixed?: boolean; dirty?: boolean; children: ReactNode }) {
  const [closing, setClosing] = useState(false);
  const close = () => (dirty ? setClosing(true) : onClose());
  return (
    <ModalOverlay className="modal-veil" isOpen onOpenChange={(is) => !is && close()} isDismissable={!urgent && !fixed} isKeyboardDismissDisabled={fixed}>
      <Modal className={wide ? "modal wide" : "modal"}>
        <AriaDialog role={urgent ? "alertdialog" : "dialog"}>
          <Heading slot="title" level={2}>
            {title}
          </Heading>
          {children}
          {dirty && <Unsaved closing={closing} onStay={() => setClosing(false)} onLeave={onClose} />}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}
