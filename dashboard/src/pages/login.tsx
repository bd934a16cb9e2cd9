import { useMutation } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import { ApiError, api, data, type Schemas } from "../api/client";
import { queries, session } from "../api/session";
import { Button, Failure } from "../parts/basic";
import { TextField } from "../parts/fields";
import { Mark } from "../parts/icons";
import { t } from "../words";
import { CodeField } from "./second-factor";

/** The page around a form by which one comes in. */
export function Door({ title, lead, children }: { title: string; lead?: ReactNode; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Chorus`;
  }, [title]);
  return (
    <main className="door">
      <div className="card">
        <div className="brand">
          <Mark />
          Chorus
        </div>
        <h1>{title}</h1>
        {lead && <p className="quiet" style={{ marginTop: 4 }}>{lead}</p>}
        {children}
      </div>
    </main>
  );
}

const entering = (onDone: () => void) => (entered: Schemas["CurrentSession"]) => {
  queries.setQueryData(session.queryKey, entered);
  onDone();
};

export function LoginForm({ email: known, onDone }: { email?: string; onDone: () => void }) {
  const [email, setEmail] = useState(known ?? "");
  const [password, setPassword] = useState("");
  const enter = useMutation({ mutationFn: () => data(api.POST("/v1/sessions", { body: { email, password } })), onSuccess: entering(onDone) });
  // The password was right, and there is a second factor.
  const challenge = enter.error instanceof ApiError ? enter.error.challenge : undefined;
  if (challenge) return <CodeForm challenge={challenge} onDone={onDone} onEnded={enter.reset} />;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    enter.mutate();
  };
  return (
    <form onSubmit={submit}>
      <TextField label={t("email")} type="email" name="email" autoComplete="username" required value={email} onChange={setEmail} autoFocus={!known} />
      <TextField label={t("password")} type="password" name="password" autoComplete="current-password" required value={password} onChange={setPassword} autoFocus={!!known} />
      <Failure error={enter.error} />
      <Button type="submit" look="strong" isDisabled={enter.isPending}>
        {t("login")}
      </Button>
    </form>
  );
}

/** After the password, where there is a second factor. It took too long: `onEnded`, once more from the password on. */
export function CodeForm({ challenge, onDone, onEnded }: { challenge: string; onDone: () => void; onEnded: () => void }) {
  const [code, setCode] = useState("");
  const finish = useMutation({
    mutationFn: () => data(api.POST("/v1/sessions/second-factor", { body: { challenge, code } })),
    onSuccess: entering(onDone),
    onError: (error) => {
      if (error instanceof ApiError && error.code === "invalid_challenge") onEnded();
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        finish.mutate();
      }}
    >
      <CodeField value={code} onChange={setCode} autoFocus />
      <Failure error={finish.error} />
      <Button type="submit" look="strong" isDisabled={finish.isPending}>
        {t("login")}
      </Button>
    </form>
  );
}

export function Login() {
  const { next } = useSearch({ from: "/login" });
  const navigate = useNavigate();
  // Only a path of this dashboard: a link from elsewhere must not choose where one goes.
  const safe = next?.startsWith("/") && !next.startsWith("//") ? next : "/";
  return (
    <Door title={t("login")} lead={t("login.lead")}>
      <LoginForm onDone={() => void navigate({ href: safe } as never)} />
    </Door>
  );
}
