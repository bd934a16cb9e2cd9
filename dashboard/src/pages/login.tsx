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
import { ByOrganization, Going, safe } from "./sso-begin";

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

export function LoginForm({ email: known, next, onDone }: { email?: string; /** Where an identity provider's return leads to; without it none is offered here. */ next?: string; onDone: () => void }) {
  const [email, setEmail] = useState(known ?? "");
  const [password, setPassword] = useState("");
  const enter = useMutation({ mutationFn: () => data(api.POST("/v1/sessions", { body: { email, password } })), onSuccess: entering(onDone) });
  // The password was right, and there is a second factor.
  const refused = enter.error instanceof ApiError ? enter.error : undefined;
  const challenge = refused?.challenge;
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
      {next !== undefined && refused?.organizationId && <Going organization={refused.organizationId} next={next} />}
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
  const { next, organization } = useSearch({ from: "/login" });
  const navigate = useNavigate();
  const then = safe(next);
  return (
    <Door title={t("login")} lead={t("login.lead")}>
      {organization && <Going organization={organization} next={then} />}
      <LoginForm next={then} onDone={() => void navigate({ href: then } as never)} />
      {!organization && <ByOrganization next={then} />}
    </Door>
  );
}
