// Back from an organization's identity provider.
import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { arrived } from "../api/arrived";
import { ApiError, api, data, type Schemas } from "../api/client";
import { queries, session } from "../api/session";
import { Button, Failure, Waiting } from "../parts/basic";
import { TextField } from "../parts/fields";
import { t } from "../words";
import { Door } from "./login";
import { CodeField } from "./second-factor";
import { wanted } from "./sso-begin";

export function Returned() {
  const { organization: organizationId } = useParams({ from: "/sso/$organization" });
  const navigate = useNavigate();
  const once = useRef(false);
  const done = (entered: Schemas["CurrentSession"]) => {
    queries.setQueryData(session.queryKey, entered);
    void navigate({ href: wanted(), replace: true } as never);
  };
  const enter = useMutation({
    mutationFn: () => {
      const [state, code, error, iss] = ["state", "code", "error", "iss"].map((name) => arrived.get(name));
      return data(api.POST("/v1/sessions/sso", { body: { organizationId, state: state ?? "", code, error, iss } }));
    },
    onSuccess: done,
  });
  useEffect(() => {
    // A state is good once.
    if (once.current) return;
    once.current = true;
    window.history.replaceState(window.history.state, "", window.location.pathname);
    enter.mutate();
  }, [enter]);
  const failed = enter.error instanceof ApiError ? enter.error : undefined;
  if (failed?.challenge) return <Linking organizationId={organizationId} challenge={failed.challenge} lead={failed.message} onDone={done} />;
  return (
    <Door title={t("sso.return")}>
      {enter.error ? (
        <>
          <Failure error={enter.error} />
          <Again organization={organizationId} />
        </>
      ) : (
        <Waiting lines={2} />
      )}
    </Door>
  );
}

function Again({ organization }: { organization: string }) {
  return (
    <p>
      <Link to="/login" search={{ organization }}>
        {t("sso.again")}
      </Link>
    </p>
  );
}

/** The first time, of somebody who has a password: it shows that it is the same person. */
function Linking({ organizationId, challenge, lead, onDone }: { organizationId: string; challenge: string; lead: string; onDone: (entered: Schemas["CurrentSession"]) => void }) {
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const link = useMutation({
    mutationFn: () => data(api.POST("/v1/sessions/sso/link", { body: { organizationId, challenge, password, code: code || null } })),
    onSuccess: onDone,
  });
  const wrong = link.error instanceof ApiError ? link.error : undefined;
  const [asked, setAsked] = useState(false);
  if (wrong?.of("code") && !asked) setAsked(true);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    link.mutate();
  };
  return (
    <Door title={t("sso.link")} lead={lead}>
      <form onSubmit={submit}>
        <TextField label={t("password")} type="password" autoComplete="current-password" required value={password} onChange={setPassword} wrong={wrong?.of("password")} autoFocus />
        {asked && <CodeField value={code} onChange={setCode} wrong={wrong?.of("code")} autoFocus />}
        <Failure error={link.error} />
        <Button type="submit" look="strong" isDisabled={link.isPending}>
          {t("sso.link.do")}
        </Button>
        {wrong?.status === 401 && <Again organization={organizationId} />}
      </form>
    </Door>
  );
}
