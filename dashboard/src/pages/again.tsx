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
  const done = () => {
    setOpen(false);
    void queries.invalidateQueries();
  };
  useEffect(() => {
    if (!open) return;
    // Who signs in by an organization does so in another tab, and comes back to this one; until
    // then the answer is that nobody is logged in.
    const look = () => void queries.fetchQuery({ ...session, staleTime: 0, retry: false }).then(done, () => {});
    window.addEventListener("focus", look);
    return () => window.removeEventListener("focus", look);
  }, [open]);
  const known = queries.getQueryData<{ member: { email: string } }>(session.queryKey);
  return (
    <Dialog title={t("again.title")} open={open} onClose={() => {}} fixed>
      <p className="quiet">{t("again.lead")}</p>
      <div className="door-form">
        <Suspense fallback={null}>
          <LoginForm email={known?.member.email} onDone={done} />
        </Suspense>
      </div>
      <p className="small">
        <a href="/dashboard/login" target="_blank" rel="noreferrer">
          {t("again.sso")}
        </a>
      </p>
    </Dialog>
  );
}
