// Links to the server's page that says what codes of errors and reasons of calls mean.
import { maybe, t } from "../words";

const PAGE = "/docs/errors";

/** The code of an error, and where it is explained. */
export function ExplainedCode({ code }: { code: string }) {
  // Those that are no answers of the API have one place together.
  const place = /^http_\d+$/.test(code) ? "http_status" : code;
  return (
    <>
      <code>{code}</code>
      {" · "}
      <a href={`${PAGE}#${place}`} target="_blank" rel="noreferrer">
        {t("error.explained")}
      </a>
    </>
  );
}

/** Why a call ended, in words. */
export function reason(code: string | null | undefined): string {
  return code ? maybe(`reason.${code}`, code.replaceAll("_", " ")) : "—";
}

/** The same, as a link to what it means. */
export function Reason({ code }: { code: string | null | undefined }) {
  if (!code) return <>—</>;
  return (
    <a className="over plain-link" href={`${PAGE}#reason-${code}`} target="_blank" rel="noreferrer" title={t("error.explained")}>
      {reason(code)}
    </a>
  );
}
