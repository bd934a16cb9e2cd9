// Talking to an agent with this computer's microphone.
import { Link } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
import { useEvents } from "../api/stream";
import { Button, Failure } from "../parts/basic";
import { SwitchField } from "../parts/switch";
import type { TrialProps } from "../parts/trial";
import { maybe, t } from "../words";
import { type Conversation, type Line, read } from "./call-model";
import { Body } from "./call-transcript";
import { type Talking, useTalk } from "./talk-state";

export default function Talk(props: TrialProps) {
  const { talking, begin, mute, hangUp } = useTalk(props);
  const [telephone, setTelephone] = useState(false);
  const on = talking !== null && talking.state !== "ended";
  return (
    <div className="stack talk">
      {!on && (
        <>
          <Button look="strong" icon="mic" onPress={() => begin(telephone ? "mulaw/8000" : "pcm16/24000")}>
            {talking ? t("talk.again") : t("talk.begin")}
          </Button>
          <SwitchField label={t("talk.telephone")} hint={t("talk.telephone.text")} value={telephone} onChange={setTelephone} />
          <p className="small quiet">{t("talk.headphones")}</p>
        </>
      )}
      {on && (
        <div className="row">
          <Button icon="mic" aria-pressed={talking.muted} onPress={mute}>
            {talking.muted ? t("talk.unmute") : t("talk.mute")}
          </Button>
          <Button look="danger" icon="close" onPress={hangUp}>
            {t("talk.hangup")}
          </Button>
        </div>
      )}
      <p role="status" className="small">
        {on && <State talking={talking} />}
      </p>
      {on && !talking.sound && <p className="note warn">{t("talk.sound")}</p>}
      {on && (
        <div className="levels">
          <Level label={t("talk.you")} value={talking.muted ? 0 : talking.caller} who="caller" />
          <Level label={props.agent.name} value={talking.agent} who="agent" />
        </div>
      )}
      {talking?.ended && <Over talking={talking} />}
      <Failure error={talking?.error} />
      {talking?.callId && <Happens key={talking.callId} callId={talking.callId} words={talking.words} agent={props.agent.name} live={on} />}
      {talking?.callId && talking.state !== "connecting" && (
        <Link to="/calls/$id" params={{ id: talking.callId }} target={on ? "_blank" : undefined} className="small">
          {on ? t("talk.live") : t("talk.see")}
        </Link>
      )}
    </div>
  );
}

function State({ talking }: { talking: Talking }) {
  const word = talking.state === "connected" ? t("talk.connected") : talking.state === "reconnecting" ? t("talk.reconnecting") : t("talk.connecting");
  return (
    <>
      <span className="live-dot" /> {word}
    </>
  );
}

/** Why it is over, where that is not what one would expect. */
function Over({ talking }: { talking: Talking }) {
  const { reason, detail } = talking.ended ?? { reason: "ended", detail: "" };
  if (reason === "not_begun" && talking.error) return null; // the API has said it
  const fine = reason === "ended" || reason === "hung_up";
  return (
    <p className={`note ${fine ? "" : "bad"}`} role={fine ? undefined : "alert"}>
      {maybe(`talk.over.${reason}`, detail || reason)}
    </p>
  );
}

function Level({ label, value, who }: { label: string; value: number; who: string }) {
  // By ear: -48 dB is nothing, -6 dB is all.
  const share = Math.max(0, Math.min(1, (20 * Math.log10(value + 1e-6) + 48) / 42));
  return (
    <div className={`level ${who}`}>
      <span className="small cut">{label}</span>
      <span className="meter" role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share * 100)}>
        <span style={{ inlineSize: `${share * 100}%` }} />
      </span>
    </div>
  );
}

/** What is said, and what happens behind it: tools, what is looked up, vendors that fail. */
function Happens({ callId, words, agent, live }: { callId: string; words: string; agent: string; live: boolean }) {
  const { events, broken } = useEvents(callId);
  const lines = useMemo(() => withLookups(read(events)), [events]);
  const end = useRef<HTMLLIElement>(null);
  useEffect(() => {
    end.current?.scrollIntoView({ block: "nearest" }); // in braces: new browsers return a promise
  }, [lines.length, words]);
  return (
    <>
      {broken && live && <p className="note warn">{t("call.broken")}</p>}
      {(lines.length > 0 || words) && (
        <ol className="said" aria-live="polite" aria-label={t("transcript")} tabIndex={0}>
          {lines.map((line) => (
            <li key={`${line.seq} ${line.from}`} className={line.kind === "said" ? line.who : "aside"}>
              <Body line={line} at={-1} customer={t("talk.you")} agent={agent} />
            </li>
          ))}
          {words && (
            <li className="caller" data-open>
              <strong className="small">{t("talk.you")}</strong>
              <p dir="auto">{words}</p>
            </li>
          )}
          <li ref={end} aria-hidden="true" />
        </ol>
      )}
    </>
  );
}

/** The lines with what was looked up among them: here there is no page of its own for that. */
function withLookups({ lines, lookups }: Conversation): Line[] {
  const found = lookups.map((each): Line => {
    const sources = [...new Set(each.passages.map((passage) => passage.document))].join(", ") || t(each.late ? "lookup.late" : "lookup.nothing");
    return { kind: "note", seq: -1 - each.at, from: each.at, tone: each.late ? "warn" : "", what: "knowledge_found", text: `${each.question} · ${sources}` };
  });
  return [...lines, ...found].sort((a, b) => a.from - b.from);
}
