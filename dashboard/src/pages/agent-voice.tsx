// How a voice sounds: a sample that its own engine speaks, with the speed and stability of the form.
import { useMutation } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { api, body } from "../api/client";
import { useMay } from "../api/session";
import { Button, Failure } from "../parts/basic";
import { ms, t } from "../words";
/** What the server speaks at most. */
const LONGEST = 300;

type Sample = { voice: { id: string; name: string }; text?: string; speed?: number; stability?: number };

/** The greeting where it has no variables, else a sentence that the server chooses. */
export function sampleOf(greeting: string | null): string | undefined {
  const text = greeting?.trim() ?? "";
  return text && !text.includes("{{") ? [...text].slice(0, LONGEST).join("") : undefined;
}

export function Preview({ voice, text, speed, stability }: Sample) {
  const may = useMay("developer");
  const player = useRef<HTMLAudioElement>(null);
  const make = useMutation({
    mutationFn: async () => {
      let timing = "";
      const sound = await body(
        api.POST("/v1/voices/{id}/preview", { params: { path: { id: voice.id } }, body: { text, speed, stability }, parseAs: "blob" }).then((answer) => ((timing = answer.response.headers.get("server-timing") ?? ""), answer)),
      );
      return { url: URL.createObjectURL(sound as unknown as Blob), firstMs: Number(/first-audio;dur=(\d+)/.exec(timing)?.[1] ?? Number.NaN), of: voice.id };
    },
  });
  const made = make.data?.of === voice.id ? make.data : undefined;
  const url = make.data?.url;
  useEffect(() => {
    if (!url) return;
    // Safari plays only what a tap began; then the controls are there.
    player.current?.play().catch(() => undefined);
    return () => URL.revokeObjectURL(url);
  }, [url]);
  if (!may) return null;
  return (
    <div className="row">
      <Button look="tiny" icon="play" isDisabled={make.isPending} onPress={() => make.mutate()}>
        {t(make.isPending ? "voice.making" : "voice.hear", { name: voice.name })}
      </Button>
      {made && (
        <>
          <audio ref={player} controls src={made.url} aria-label={t("voice.preview", { name: voice.name })} />
          {!Number.isNaN(made.firstMs) && <span className="small quiet">{t("voice.first", { ms: ms(made.firstMs) })}</span>}
        </>
      )}
      <Failure error={make.error} />
    </div>
  );
}
