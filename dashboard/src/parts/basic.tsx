// The smallest parts: buttons, badges, ids, times, notes about failures, empty states.
import { type ReactNode, useEffect, useState } from "react";
import { ApiError } from "../api/client";
import { ago, exact, maybe, moment, t } from "../words";
import { ExplainedCode } from "./explained";
import { Icon, type IconName } from "./icons";
import { toast } from "./toasts";

type ButtonProps = {
  look?: string;
  icon?: IconName;
  type?: "button" | "submit";
  isDisabled?: boolean;
  onPress?: () => void;
  "aria-label"?: string;
  "aria-expanded"?: boolean;
  "aria-pressed"?: boolean;
  children?: ReactNode;
};

/** The browser's own button: a page has dozens of them, and the library's took longer to draw than
    all else of a row. */
export function Button({ look = "", icon, type = "button", isDisabled, onPress, children, ...rest }: ButtonProps) {
  return (
    <button
      {...rest}
      type={type}
      disabled={isDisabled}
      className={`button ${look}${icon && !children ? " icon" : ""}`}
      onClick={(event) => {
        event.currentTarget.focus(); // Safari does not, and a dialog gives the focus back to what had it
        onPress?.();
      }}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

const GOOD = new Set(["completed", "delivered", "active", "good", "connected"]);
const BAD = new Set(["failed", "bad"]);
const WARN = new Set(["no_answer", "cancelled", "pending", "warn", "inactive"]);

export function Badge({ kind, children }: { kind: string; children?: ReactNode }) {
  const tone = GOOD.has(kind) ? "good" : BAD.has(kind) ? "bad" : WARN.has(kind) ? "warn" : kind === "in_progress" || kind === "ringing" ? "accent" : "";
  return (
    <span className={`badge ${tone}`}>
      {kind === "in_progress" && <span className="live-dot" />}
      {children ?? maybe(`status.${kind}`, kind)}
    </span>
  );
}

/** A text to copy, such as an id; long ones are shown short and copied whole. */
export function Copy({ text, label, short = false }: { text: string; label?: string; short?: boolean }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1400);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <button
      type="button"
      className="copy over"
      title={text}
      aria-label={t("copy.what", { what: label ?? text })}
      onClick={async () => {
        await copy(text);
        setDone(true);
      }}
    >
      <span className="cut">{label ?? (short ? text.slice(0, 8) : text)}</span>
      <Icon name={done ? "check" : "copy"} />
    </button>
  );
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(t("copy.done"));
  } catch {
    toast(t("copy.failed"));
  }
}

export function Code({ children }: { children: string }) {
  return (
    <div className="code">
      <pre tabIndex={0} role="region" aria-label={t("code")}>
        <code>{children}</code>
      </pre>
      <Button look="tiny bare" icon="copy" aria-label={t("copy.code")} onPress={() => void copy(children)} />
    </div>
  );
}

/** The request that does the same over the API. */
export function curl(method: string, path: string, body?: unknown): string {
  const lines = [`curl ${method === "GET" ? "" : `-X ${method} `}${window.location.origin}${path}`, `  -H "Authorization: Bearer $CHORUS_API_KEY"`];
  if (body !== undefined) {
    lines.push(`  -H "Content-Type: application/json"`);
    lines.push(`  -d '${JSON.stringify(body, null, 2).replaceAll("'", "'\\''")}'`);
  }
  return lines.join(" \\\n");
}

export function Empty({ title, children, action, code }: { title: string; children?: ReactNode; action?: ReactNode; code?: string }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {action}
      {code && (
        <>
          <p className="small">{t("empty.curl")}</p>
          <Code>{code}</Code>
        </>
      )}
    </div>
  );
}

/** A failure as the API tells it: sentence, code, where its explanation is, and the request's id. */
export function Failure({ error }: { error: unknown }) {
  if (!error) return null;
  const known = error instanceof ApiError;
  return (
    <div className="note bad" role="alert">
      <strong>{known ? error.message : String(error)}</strong>
      {known && error.details.map((d) => <span key={d.field + d.message}>{d.message}</span>)}
      {known && (
        <span className="small">
          <ExplainedCode code={error.code} />
          {error.requestId && (
            <>
              {" · "}
              {t("error.request")} <code>{error.requestId}</code>
            </>
          )}
        </span>
      )}
    </div>
  );
}

export function Time({ iso, relative = true }: { iso: string | null | undefined; relative?: boolean }) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!relative) return;
    const timer = setInterval(() => tick((n) => n + 1), 30_000);
    return () => clearInterval(timer);
  }, [relative]);
  if (!iso) return <span className="quiet">—</span>;
  return (
    <time dateTime={iso} title={exact(iso)}>
      {relative ? ago(iso) : moment(iso)}
    </time>
  );
}

export function Head({ title, crumb, lead, children }: { title: ReactNode; crumb?: ReactNode; lead?: ReactNode; children?: ReactNode }) {
  useEffect(() => {
    if (typeof title === "string") document.title = `${title} · Chorus`;
  }, [title]);
  return (
    <div className="head">
      <div>
        {crumb && <span className="crumb">{crumb}</span>}
        <h1>{title}</h1>
        {lead && <p>{lead}</p>}
      </div>
      {children && <div className="row">{children}</div>}
    </div>
  );
}

export function Tile({ label, value, note, tone }: { label: string; value: ReactNode; note?: ReactNode; tone?: string }) {
  return (
    <div className={`card tile ${tone ?? ""}`}>
      <span className="small quiet">{label}</span>
      <strong className="num">{value}</strong>
      {note && <span className="small quiet">{note}</span>}
    </div>
  );
}

export function Waiting({ lines = 5 }: { lines?: number }) {
  return (
    <div className="stack" role="status" aria-busy="true" aria-label={t("loading")}>
      {Array.from({ length: lines }, (_, n) => (
        <div key={n} className="skeleton" style={{ height: 34, opacity: 1 - n / (lines + 1) }} />
      ))}
    </div>
  );
}
