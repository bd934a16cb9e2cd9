// A session that ends while a page is open: log in over it, and nothing that was typed is lost.
import { lazy, Suspense, useEffect, useState } from "react";
import { onExpired } from "../api/client";
import { queries, session } from "../api/session";
import { Dialog } from "../parts/dialogs";
import { t } from "../words";

const LoginForm = lazy(async () => ({ default: (await import("./login")).LoginForm }));

export function Again() {
  const [open, setOpen] = useState(false);
  useEffect(() => {
    // Before anybody was known the login page is the place, not this.
    onExpired(() => queries.getQueryData(session.queryKey) && setOpen(true));
  }, []);
  const known = queries.getQueryData<{ member: { email: string } }>(session.queryKey);
  return (
    <Dialog title={t("again.title")} open={open} onClose={() => {}} fixed>
      <p className="quiet">{t("again.lead")}</p>
      <div className="door-form">
        <Suspense fallback={null}>
          <LoginForm
            email={known?.member.email}
            onDone={() => {
              setOpen(false);
              void queries.invalidateQueries();
            }}
          />
        </Suspense>
      </div>
    </Dialog>
  );
}
