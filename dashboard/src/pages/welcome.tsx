// The first owner, and members who were invited: choose a password and come in.
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { ApiError, api, data } from "../api/client";
import { queries, session } from "../api/session";
import { Button, Failure } from "../parts/basic";
import { TextField } from "../parts/fields";
import { SwitchField } from "../parts/switch";
import { t } from "../words";
import { CodeForm, Door } from "./login";

/** Read once and taken out of the address, which browsers keep in their history. */
function useToken(): string {
  const [token] = useState(() => new URLSearchParams(window.location.hash.slice(1)).get("token") ?? "");
  return token;
}

function useEnter(ask: () => Promise<unknown>) {
  const navigate = useNavigate();
  return useMutation({
    mutationFn: ask,
    onSuccess: (entered) => {
      queries.setQueryData(session.queryKey, entered as never);
      void navigate({ to: "/", replace: true });
    },
  });
}

export function Welcome() {
  const token = useToken();
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const enter = useEnter(() => data(api.POST("/v1/owners", { body: { token, email, password, name: name || null } })));
  const wrong = enter.error instanceof ApiError ? enter.error : undefined;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    enter.mutate();
  };
  return (
    <Door title={t("welcome.title")} lead={t("welcome.lead")}>
      {!token && <div className="note warn">{t("welcome.notoken")}</div>}
      <form onSubmit={submit}>
        <TextField label={t("welcome.name")} autoComplete="name" value={name} onChange={setName} autoFocus />
        <TextField label={t("email")} type="email" autoComplete="username" required value={email} onChange={setEmail} wrong={wrong?.of("email")} />
        <TextField label={t("password.new")} type="password" autoComplete="new-password" required value={password} onChange={setPassword} hint={t("password.hint")} wrong={wrong?.of("password")} />
        <Failure error={enter.error} />
        <Button type="submit" look="strong" isDisabled={enter.isPending || !token}>
          {t("welcome.create")}
        </Button>
      </form>
    </Door>
  );
}

export function Invitation() {
  const token = useToken();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [existing, setExisting] = useState(false);
  const navigate = useNavigate();
  const enter = useEnter(() => data(api.POST("/v1/invitations", { body: { token, password, existing, ...(name ? { name } : {}) } })));
  // Accepted, and there is a second factor.
  const challenge = enter.error instanceof ApiError ? enter.error.challenge : undefined;
  if (challenge)
    return (
      <Door title={t("invited.title")}>
        <CodeForm challenge={challenge} onDone={() => void navigate({ to: "/", replace: true })} onEnded={() => void navigate({ to: "/login", search: {} })} />
      </Door>
    );
  const submit = (event: FormEvent) => {
    event.preventDefault();
    enter.mutate();
  };
  return (
    <Door title={t("invited.title")} lead={t("invited.lead")}>
      <form onSubmit={submit}>
        <TextField label={t("welcome.name")} autoComplete="name" value={name} onChange={setName} autoFocus />
        <SwitchField label={t("invited.existing")} hint={t("invited.existing.hint")} value={existing} onChange={setExisting} />
        <TextField
          label={t(existing ? "password" : "password.new")}
          type="password"
          autoComplete={existing ? "current-password" : "new-password"}
          required
          value={password}
          onChange={setPassword}
          hint={existing ? undefined : t("password.hint")}
        />
        <Failure error={enter.error} />
        <Button type="submit" look="strong" isDisabled={enter.isPending || !token}>
          {t("invited.accept")}
        </Button>
      </form>
    </Door>
  );
}
