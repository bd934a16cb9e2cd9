// How the sound went over the line: what the caller's side sent us, and what it reports of ours.
import type { Schemas } from "../api/client";
import { ms, number, percent, t } from "../words";

export function Sound({ of }: { of: NonNullable<Schemas["Call"]["lineQuality"]> }) {
  const share = (value: number | null | undefined) => (typeof value === "number" ? percent(value) : "—");
  const pairs: [string, string][] = [
    [t("sound.mos"), typeof of.mos === "number" ? number(of.mos, 1) : "—"],
    [t("sound.codec"), `${of.codec ?? "—"}${of.encrypted ? ` · ${t("sound.encrypted")}` : ""}`],
    [t("sound.loss"), share(of.loss)],
    [t("sound.loss.remote"), share(of.remoteLoss)],
    [t("sound.jitter"), ms(of.jitterMs)],
    [t("sound.roundtrip"), ms(of.roundTripMs)],
    [t("sound.concealed"), ms(of.concealedMs)],
  ];
  return (
    <>
      <h3>{t("sound.title")}</h3>
      <dl className="pairs">
        {pairs.map(([name, value]) => (
          <div key={name} style={{ display: "contents" }}>
            <dt>{name}</dt>
            <dd className="num">{value}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
