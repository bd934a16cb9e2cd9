// Listening to a live call with this computer, whispering into it, and taking it over.
import { useMutation } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { BrowserCall, type Ended, type State } from "../../../clients/browser/src";
import { api, data, type Schemas } from "../api/client";
import { mediaUrl } from "../api/media";
import { Button, Failure } from "../parts/basic";
import { SelectField } from "../parts/select";
import { maybe, t } from "../words";

type Mode = Schemas["SupervisorMode"]["mode"];
type Hears = Schemas["SupervisorCreate"]["hears"];
type On = { id: string; state: State; mode: Mode; ended: Ended | null };

export default function Supervise({ callId }: { callId: string }) {
  const [hears, setHears] = useState<Hears>("both");
  const [on, setOn] = useState<On | null>(null);
  const [error, setError] = useState<unknown>(null);
  const line = useRef<BrowserCall | null>(null);
  useEffect(() => () => line.current?.hangUp(), []);
  const mode = useMutation({
    mutationFn: (wish: Mode) => data(api.POST("/v1/calls/{id}/supervisors/{supervisorId}/mode", { params: { path: { id: callId, supervisorId: on?.id ?? "" } }, body: { mode: wish } })),
    onSuccess: (_, wish) => {
      // Nobody hears a supervisor who listens; the microphone is shut all the same.
      line.current?.mute(wish === "listen");
      setOn((old) => old && { ...old, mode: wish });
    },
  });
  const begin = () => {
    // Before anything is waited for: browsers give sound to a tap only.
    const made = new BrowserCall({ format: "pcm16/24000" });
    line.current = made;
    setError(null);
    setOn({ id: "", state: "connecting", mode: "listen", ended: null });
    const set = (change: Partial<On>) => setOn((old) => (old && line.current === made ? { ...old, ...change } : old));
    made.on("state", (state) => {
      if (state === "connected") made.mute(true);
      set({ state });
    });
    made.on("ended", (ended) => set({ ended, state: "ended" }));
    void made.connect(async () => {
      try {
        const begun = await data(api.POST("/v1/calls/{id}/supervisors", { params: { path: { id: callId } }, body: { hears } }));
        set({ id: begun.id });
        return { callId: begun.id, token: begun.token, url: mediaUrl(begun.url) };
      } catch (reason) {
        setError(reason);
        throw reason;
      }
    });
  };
  const there = on !== null && on.state !== "ended";
  const ready = there && on.state === "connected" && !mode.isPending;
  const speaks = there && on.mode === "talk";
  // What is pressed here is pressed while much changes around it: each button is in its place from
  // the beginning, and what grows comes after all of them.
  return (
    <section className="supervise" aria-label={t("supervise")}>
      <div className="row">
        {there ? (
          <>
            <Button onPress={() => line.current?.hangUp()}>{t("supervise.stop")}</Button>
            <Button look="strong" icon={speaks ? undefined : "mic"} isDisabled={!ready} onPress={() => mode.mutate(speaks ? "listen" : "talk")}>
              {t(speaks ? "supervise.back" : "supervise.over")}
            </Button>
            {!speaks && (
              <Button isDisabled={!ready} aria-pressed={on.mode === "whisper"} onPress={() => mode.mutate(on.mode === "whisper" ? "listen" : "whisper")}>
                {t("supervise.whisper")}
              </Button>
            )}
          </>
        ) : (
          <>
            <SelectField label={<span className="hidden">{t("supervise.hears")}</span>} value={hears} onChange={(id) => setHears(id as Hears)} choices={(["both", "caller", "agent"] as const).map((id) => ({ id, label: t(`supervise.hears.${id}`) }))} />
            <Button icon="mic" onPress={begin}>
              {t("supervise.listen")}
            </Button>
          </>
        )}
      </div>
      <p role="status" className="small">
        {there && (on.state === "connected" ? t(`supervise.is.${on.mode}`) : t(on.state === "reconnecting" ? "talk.reconnecting" : "talk.connecting"))}
        {on?.ended && maybe(`talk.ended.${on.ended.reason}`, t("supervise.ended"))}
      </p>
      <Failure error={error ?? mode.error} />
    </section>
  );
}
