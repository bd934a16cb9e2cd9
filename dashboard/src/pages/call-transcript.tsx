// What was said and done, in its order. Words follow the sound; a click on a line goes there.
import { useEffect, useRef, useState } from "react";
import { Badge, Button, copy } from "../parts/basic";
import { Icon } from "../parts/icons";
import { SLOW_MS } from "../parts/slow";
import { clock, maybe, ms, t } from "../words";
import { asText, type Line } from "./call-model";

/** Of the end: who is as near as that follows it. */
const NEAR_PX = 30;

export function Transcript({ lines, at, seek, openTurn, customer, agent, live }: { lines: Line[]; at: number; seek?: (ms: number) => void; openTurn: (turn: number) => void; customer: string; agent: string; live: boolean }) {
  const [search, setSearch] = useState("");
  const wanted = search.trim().toLowerCase();
  const shown = wanted ? lines.filter((line) => JSON.stringify(line).toLowerCase().includes(wanted)) : lines;
  const list = useRef<HTMLOListElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    // Within itself: a page that moves by itself takes away what somebody is about to press. And
    // only for who is at the end: somebody else reads what was said before.
    if (live && follows.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [live, lines]);
  const finals = lines.filter((line) => line.kind === "said" && line.seq !== Number.MAX_SAFE_INTEGER);
  const last = finals[finals.length - 1];
  return (
    <section className={live ? "card transcript live" : "card transcript"} aria-label={t("transcript")}>
      <div className="row">
        <h2 className="grow">{t("transcript")}</h2>
        <input type="search" className="input find-in" aria-label={t("transcript.search")} placeholder={t("transcript.search")} value={search} onChange={(event) => setSearch(event.target.value)} />
        <Button look="tiny" icon="copy" isDisabled={finals.length === 0} onPress={() => void copy(asText(lines, { caller: customer, agent }))}>
          {t("copy")}
        </Button>
      </div>
      {lines.length === 0 && <p className="quiet">{live ? t("transcript.soon") : t("transcript.none")}</p>}
      <ol
        className="lines"
        ref={list}
        tabIndex={live ? 0 : undefined}
        onScroll={({ currentTarget: it }) => {
          follows.current = it.scrollHeight - it.scrollTop - it.clientHeight < NEAR_PX;
        }}
      >
        {shown.map((line) => (
          <li key={`${line.seq} ${line.from}`} className={`line line-${line.kind} ${line.kind === "said" ? line.who : ""}`} data-now={line.kind === "said" && at >= line.from && at < line.to ? "" : undefined}>
            {seek ? (
              <button type="button" className="when num" onClick={() => seek(line.from)} aria-label={t("player.goto", { at: clock(line.from / 1000) })}>
                {clock(line.from / 1000)}
              </button>
            ) : (
              <span className="when num">{clock(line.from / 1000)}</span>
            )}
            <Body line={line} at={at} openTurn={openTurn} customer={customer} agent={agent} />
          </li>
        ))}
      </ol>
      {live && (
        <p className="hidden" aria-live="polite">
          {last?.kind === "said" ? `${last.who === "caller" ? customer : agent}: ${last.text}` : ""}
        </p>
      )}
    </section>
  );
}

/** One line; without `openTurn` its latency is only told. */
export function Body({ line, at, openTurn, customer, agent }: { line: Line; at: number; openTurn?: (turn: number) => void; customer: string; agent: string }) {
  if (line.kind === "note") {
    return (
      <div>
        <Badge kind={line.tone || "note"}>{maybe(`event.${line.what}`, line.what.replaceAll("_", " "))}</Badge> <span className="small quiet" dir="auto">{line.text}</span>
      </div>
    );
  }
  if (line.kind === "tool") {
    return (
      <details className="tool">
        <summary>
          <Icon name="tools" />
          <strong className="mono">{line.name}</strong>
          {line.ok === null ? <Badge kind="pending">{t("tool.running")}</Badge> : <Badge kind={line.ok ? "good" : "bad"}>{line.ok ? t("tool.ok") : t("tool.failed")}</Badge>}
          <span className="quiet small num">{line.to === null ? "" : ms(Math.round(line.to - line.from))}</span>
        </summary>
        <h3>{t("tool.arguments")}</h3>
        <pre>{JSON.stringify(line.arguments, null, 2)}</pre>
        <h3>{t("tool.result")}</h3>
        <pre>{typeof line.result === "string" ? line.result : JSON.stringify(line.result, null, 2)}</pre>
      </details>
    );
  }
  const now = at >= line.from && at < line.to;
  const { turn } = line;
  return (
    <div>
      <div className="speaker">
        <strong dir="auto">{line.who === "caller" ? customer : agent}</strong>
        {line.latency !== undefined && turn !== null && (openTurn ? (
          <button type="button" className={`chip num ${line.latency > SLOW_MS ? "slow" : ""}`} onClick={() => openTurn(turn)} title={t("waterfall.open")}>
            {ms(line.latency)}
          </button>
        ) : (
          <span className={`chip num ${line.latency > SLOW_MS ? "slow" : ""}`}>{ms(line.latency)}</span>
        ))}
        {line.interrupted && <span className="badge bad">{t("line.interrupted")}</span>}
        {line.retracted && <span className="badge">{t("line.retracted")}</span>}
      </div>
      <p dir="auto">
        {now ? <Followed line={line} at={at} /> : line.text}
        {line.unsaid && (
          <>
            {" "}
            <s className={line.estimated ? "estimated" : undefined} title={line.estimated ? t("line.estimated") : t("line.unsaid")}>
              <span className="hidden">{t("line.unsaid")}: </span>
              {line.unsaid}
            </s>
          </>
        )}
      </p>
    </div>
  );
}

/** The word that is being heard, by the share of the line's time that has passed. */
function Followed({ line, at }: { line: Extract<Line, { kind: "said" }>; at: number }) {
  const share = (at - line.from) / Math.max(1, line.to - line.from);
  const words = line.text.split(/(\s+)/);
  const upTo = share * line.text.length;
  let passed = 0;
  return (
    <>
      {words.map((word, n) => {
        const begins = passed;
        passed += word.length;
        const current = begins <= upTo && passed > upTo && word.trim() !== "";
        return current ? (
          <mark key={n} className="word">
            {word}
          </mark>
        ) : (
          <span key={n}>{word}</span>
        );
      })}
    </>
  );
}
