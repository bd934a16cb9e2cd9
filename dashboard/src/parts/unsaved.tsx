// Asks before what somebody has typed is lost.
import { useBlocker } from "@tanstack/react-router";
import { useState } from "react";
import { t } from "../words";
import { Button } from "./basic";
import { Dialog } from "./dialogs";

/** Whether what a form holds is other than what it held at first. */
export function useDirty(held: unknown): boolean {
  const now = JSON.stringify(held);
  const [before] = useState(now);
  return now !== before;
}

/** For as long as it is there: leaving the page, going back and closing the window ask first, and so
 *  does whoever sets `closing`. */
export function Unsaved({ closing = false, onStay, onLeave }: { closing?: boolean; onStay?: () => void; onLeave?: () => void }) {
  const blocker = useBlocker({
    // An address that changes on the same page is a form's own doing, unless somebody goes back.
    shouldBlockFn: ({ current, next, action }) => current.pathname !== next.pathname || action === "BACK" || action === "FORWARD" || action === "GO",
    enableBeforeUnload: true,
    withResolver: true,
  });
  const stay = () => {
    blocker.reset?.();
    onStay?.();
  };
  const leave = () => {
    if (blocker.status === "blocked") blocker.proceed();
    else onLeave?.();
  };
  return (
    <Dialog title={t("agent.leave")} open={closing || blocker.status === "blocked"} onClose={stay} urgent>
      <p className="quiet">{t("unsaved.text")}</p>
      <div className="foot">
        <Button onPress={leave}>{t("agent.discard")}</Button>
        <Button look="strong" onPress={stay}>
          {t("agent.stay")}
        </Button>
      </div>
    </Dialog>
  );
}
