// The second factor of who is logged in: begin, confirm with a first code, take away.
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { ApiError, api, data } from "../api/client";
import { queries } from "../api/session";
import { Badge, Button, Code, Failure, Waiting } from "../parts/basic";
import { TextField } from "../parts/fields";
import { toast } from "../parts/toasts";
import { t } from "../words";

const QUERY = { queryKey: ["second-factor"], queryFn: () => data(api.GET("/v1/second-factor")) };
const again = () => Promise.all([queries.invalidateQueries({ queryKey: QUERY.queryKey }), queries.invalidateQueries({ queryKey: ["sessions"] })]);

export function SecondFactor() {
  const found = useQuery(QUERY);
  return (
    <section className="card stack">
      <div className="row">
        <h2 className="grow">{t("factor")}</h2>
        {found.data?.enabled && <Badge kind="good">{t("factor.on")}</Badge>}
      </div>
      <p className="quiet">{t("factor.lead")}</p>
      {!found.data ? found.error ? <Failure error={found.error} /> : <Waiting /> : found.data.enabled ? <Remove left={found.data.recoveryCodesLeft} /> : <Begin />}
    </section>
  );
}

function Begin() {
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const begin = useMutation({ mutationFn: () => data(api.POST("/v1/second-factor", { body: { password } })) });
  const confirm = useMutation({
    mutationFn: () => data(api.POST("/v1/second-factor/confirmation", { body: { code } })),
    onSuccess: () => {
      toast(t("factor.begun"));
      void again();
    },
  });
  if (!begin.data)
    return (
      <Asked error={begin.error} word={t("factor.begin")} busy={begin.isPending} onSubmit={begin.mutate}>
        <TextField label={t("password.current")} type="password" autoComplete="current-password" required value={password} onChange={setPassword} wrong={of(begin.error, "password")} />
      </Asked>
    );
  return (
    <>
      <p>
        {t("factor.scan")} <a href={begin.data.uri}>{t("factor.open")}</a>
      </p>
      <Code>{begin.data.secret}</Code>
      <p>{t("factor.recovery")}</p>
      <Code>{begin.data.recoveryCodes.join("\n")}</Code>
      <Asked error={confirm.error} word={t("factor.confirm")} busy={confirm.isPending} onSubmit={confirm.mutate}>
        <CodeField value={code} onChange={setCode} wrong={of(confirm.error, "code")} />
      </Asked>
    </>
  );
}

function Remove({ left }: { left: number }) {
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const remove = useMutation({
    mutationFn: () => data(api.POST("/v1/second-factor/removal", { body: { password, code } })),
    onSuccess: () => {
      toast(t("factor.removed"));
      void again();
    },
  });
  return (
    <>
      <p className="small quiet">{t("factor.left", { count: String(left) })}</p>
      <Asked error={remove.error} word={t("factor.remove")} busy={remove.isPending} onSubmit={remove.mutate}>
        <div className="two">
          <TextField label={t("password.current")} type="password" autoComplete="current-password" required value={password} onChange={setPassword} wrong={of(remove.error, "password")} />
          <CodeField value={code} onChange={setCode} wrong={of(remove.error, "code")} />
        </div>
      </Asked>
    </>
  );
}

export function CodeField(given: { value: string; onChange: (value: string) => void; wrong?: string; autoFocus?: boolean }) {
  return <TextField label={t("factor.code")} hint={t("factor.code.hint")} name="code" autoComplete="one-time-code" required maxLength={32} dir="ltr" mono {...given} />;
}

function Asked({ error, word, busy, onSubmit, children }: { error: unknown; word: string; busy: boolean; onSubmit: () => void; children: ReactNode }) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSubmit();
  };
  return (
    <form className="stack" onSubmit={submit}>
      {children}
      <Failure error={error as Error | null} />
      <div>
        <Button type="submit" look="strong" isDisabled={busy}>
          {word}
        </Button>
      </div>
    </form>
  );
}

const of = (error: unknown, field: string) => (error instanceof ApiError ? error.of(field) : undefined);
