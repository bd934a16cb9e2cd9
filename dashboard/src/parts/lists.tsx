// What lists share: the search and the page in the address, and going from page to page.
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import { useEffect, useRef, useState } from "react";
import { number, t } from "../words";
import { Button } from "./basic";

/** Changes parameters of the address; undefined and "" take one out. */
export function useParameters(): (changes: Record<string, string | number | undefined>) => void {
  const navigate = useNavigate();
  return (changes) =>
    void navigate({
      to: ".",
      replace: true,
      search: (old: Record<string, unknown>) => Object.fromEntries(Object.entries({ ...old, ...changes }).filter(([, value]) => value !== undefined && value !== "")),
    } as never);
}

export function useOffset(): [number, (offset: number) => void] {
  const search = useSearch({ strict: false }) as { offset?: number };
  const change = useParameters();
  return [Number(search.offset) || 0, (offset) => change({ offset: offset || undefined })];
}

export function SearchBox({ label }: { label: string }) {
  const search = useSearch({ strict: false }) as { q?: string };
  const change = useParameters();
  const there = String(search.q ?? "");
  const [text, setText] = useState(there);
  const seen = useRef(there);
  const sent = useRef(there);
  useEffect(() => {
    if (there !== seen.current) {
      seen.current = there;
      // Not by what is typed here: a saved view, cleared filters, or going back.
      if (there !== sent.current) {
        sent.current = there;
        setText(there);
        return;
      }
    }
    if (text === there) return;
    const timer = setTimeout(() => {
      sent.current = text;
      change({ q: text || undefined, offset: undefined, after: undefined });
    }, 250);
    return () => clearTimeout(timer);
  });
  return (
    <div className="field">
      <input type="search" className="input" aria-label={label} placeholder={label} value={text} onChange={(event) => setText(event.target.value)} style={{ width: 260 }} />
    </div>
  );
}

export function Pages({ total, limit, offset, onChange }: { total: number; limit: number; offset: number; onChange: (offset: number) => void }) {
  if (total <= limit && offset === 0) return null;
  const last = Math.min(total, offset + limit);
  return (
    <nav className="pages" aria-label={t("pages")}>
      <span className="num">{t("pages.of", { from: number(offset + 1), to: number(last), total: number(total) })}</span>
      <Button look="tiny" isDisabled={offset === 0} onPress={() => onChange(Math.max(0, offset - limit))}>
        {t("pages.back")}
      </Button>
      <Button look="tiny" isDisabled={last >= total} onPress={() => onChange(offset + limit)}>
        {t("pages.next")}
      </Button>
    </nav>
  );
}

/** From page to page of a list that may be long: each has an address, and going back is the
    browser's own. */
export function CursorPages({ pagination, after }: { pagination: Schemas["Pagination"]; after?: string }) {
  const next = pagination.nextCursor;
  if (!next && !after) return null;
  const at = (cursor: string | undefined) => ((old: Record<string, unknown>) => ({ ...old, after: cursor })) as never;
  return (
    <nav className="pages" aria-label={t("pages")}>
      <span className="num">{t(pagination.totalIsExact === false ? "pages.more" : "pages.all", { total: number(pagination.total) })}</span>
      {after && (
        <Link to="." search={at(undefined)} className="button tiny">
          {t("pages.first")}
        </Link>
      )}
      {next && (
        <Link to="." search={at(next)} className="button tiny">
          {t("pages.next")}
        </Link>
      )}
    </nav>
  );
}
