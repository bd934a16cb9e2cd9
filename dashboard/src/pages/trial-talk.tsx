// Talking to an agent with this computer's microphone.
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { Button, Failure } from "../parts/basic";
import { SwitchField } from "../parts/switch";
import type { TrialProps } from "../parts/trial";
import { maybe, ms, t } from "../words";
import { type Said, type Talking, useTalk } from "./talk-state";

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
      {talking && talking.said.length > 0 && <Lines said={talking.said} agent={props.agent.name} />}
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

export function Lines({ said, agent }: { said: Said[]; agent: string }) {
  const end = useRef<HTMLLIElement>(null);
  useEffect(() => {
    end.current?.scrollIntoView({ block: "nearest" }); // in braces: new browsers return a promise
  }, [said.length]);
  return (
    <ol className="said" aria-live="polite" aria-label={t("transcript")} tabIndex={0}>
      {said.map((line, n) => (
        // Lines are only added and changed at the end, so their place is their name.
        <li key={n} className={line.who} data-open={line.open || undefined}>
          <strong className="small">
            {line.who === "caller" ? t("talk.you") : agent}
            {line.latency !== undefined && <span className="quiet num"> {ms(Math.round(line.latency))}</span>}
          </strong>
          <p dir="auto">
            {line.text} {line.unsaid && <s>{line.unsaid}</s>}
          </p>
        </li>
      ))}
      <li ref={end} aria-hidden="true" />
    </ol>
  );
}
