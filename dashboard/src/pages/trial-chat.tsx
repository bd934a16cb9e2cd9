// Writing to an agent: the same prompt, model and tools as in a call, without sound.
import { type FormEvent, useEffect, useRef, useState } from "react";
import { type ChatEvent, type ChatMessage, chat } from "../api/chat";
import { Badge, Button, Failure } from "../parts/basic";
import type { TrialProps } from "../parts/trial";
import { ms, t } from "../words";

type Shown = { who: "you" | "agent"; text: string; firstMs?: number } | { who: "tool"; id: string; name: string; ok?: boolean; elapsedMs?: number };

export default function Chat({ agent, changes, variables }: TrialProps) {
  const [history, setHistory] = useState<ChatMessage[]>([]);
  const [shown, setShown] = useState<Shown[]>([]);
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [over, setOver] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const stop = useRef<AbortController | null>(null);
  const end = useRef<HTMLLIElement>(null);
  useEffect(() => () => stop.current?.abort(), []);
  useEffect(() => {
    end.current?.scrollIntoView({ block: "nearest" }); // in braces: new browsers return a promise
  }, [shown]);

  const ask = async (messages: ChatMessage[]) => {
    const mine = new AbortController();
    stop.current = mine;
    setBusy(true);
    setError(null);
    const tell = (event: ChatEvent) => {
      if (mine.signal.aborted) return;
      setShown((old) => added(old, event));
      if (event.kind === "done") {
        setHistory([...messages, ...event.data.messages]);
        setOver(event.data.endsCall);
      }
    };
    try {
      await chat(agent.id, { messages, agent: changes, contextVariables: variables }, mine.signal, tell);
    } catch (reason) {
      if (!mine.signal.aborted) setError(reason);
    } finally {
      if (stop.current === mine) setBusy(false);
    }
  };
  const send = (event: FormEvent) => {
    event.preventDefault();
    const said = text.trim();
    if (!said || busy) return;
    setText("");
    setShown((old) => [...old, { who: "you", text: said }]);
    void ask([...history, { role: "user", content: said }]);
  };
  const anew = () => {
    stop.current?.abort();
    setHistory([]);
    setShown([]);
    setOver(false);
    setBusy(false);
    setError(null);
  };
  return (
    <div className="stack talk">
      {shown.length === 0 && !busy && (
        <div className="row">
          <span className="small quiet grow">{t("chat.text")}</span>
          <Button look="tiny" onPress={() => void ask([])}>
            {t("chat.open")}
          </Button>
        </div>
      )}
      {shown.length > 0 && (
        <ol className="said" aria-live="polite" aria-label={t("chat")} tabIndex={0}>
          {shown.map((line, n) => (
            <li key={n} className={line.who === "you" ? "caller" : "agent"}>
              {line.who === "tool" ? (
                <span className="small">
                  <code>{line.name}</code> {line.ok === undefined ? <Badge kind="pending">{t("tool.running")}</Badge> : <Badge kind={line.ok ? "good" : "bad"}>{line.ok ? t("tool.ok") : t("tool.failed")}</Badge>} <span className="quiet num">{ms(line.elapsedMs)}</span>
                </span>
              ) : (
                <>
                  <strong className="small">
                    {line.who === "you" ? t("talk.you") : agent.name} {line.firstMs !== undefined && <span className="quiet num">{ms(line.firstMs)}</span>}
                  </strong>
                  <p dir="auto">{line.text}</p>
                </>
              )}
            </li>
          ))}
          <li ref={end} aria-hidden="true" />
        </ol>
      )}
      <Failure error={error} />
      {over && <p className="note">{t("talk.over.ended")}</p>}
      {!over && (
        <form className="row" onSubmit={send}>
          <input className="input grow" aria-label={t("chat.message")} placeholder={t("chat.message")} value={text} onChange={(event) => setText(event.target.value)} maxLength={4000} autoComplete="off" dir="auto" />
          <Button type="submit" look="strong" isDisabled={busy || !text.trim()}>
            {t("chat.send")}
          </Button>
        </form>
      )}
      {shown.length > 0 && (
        <Button look="tiny bare" icon="undo" onPress={anew}>
          {t("chat.anew")}
        </Button>
      )}
    </div>
  );
}

function added(shown: Shown[], event: ChatEvent): Shown[] {
  const last = shown[shown.length - 1];
  switch (event.kind) {
    case "text":
      return last?.who === "agent" && last.firstMs === undefined ? [...shown.slice(0, -1), { ...last, text: last.text + event.data.delta }] : [...shown, { who: "agent", text: event.data.delta }];
    case "tool_call":
      return [...shown, { who: "tool", id: event.data.id, name: event.data.name }];
    case "tool_result":
      return shown.map((line) => (line.who === "tool" && line.id === event.data.id ? { ...line, ok: event.data.ok, elapsedMs: event.data.elapsedMs } : line));
    case "error":
      return [...shown, { who: "agent", text: event.data.spoken ?? event.data.detail }];
    case "done": {
      const { firstTextMs } = event.data;
      return last?.who === "agent" && firstTextMs !== null ? [...shown.slice(0, -1), { ...last, firstMs: firstTextMs }] : shown;
    }
    default:
      return shown;
  }
}
