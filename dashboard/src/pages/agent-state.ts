// What is being changed of an agent: the changes over what the server has, and saving them.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { agentQuery } from "../api/agent";
import { ApiError, api, data, type Schemas } from "../api/client";
import { queries } from "../api/session";
import { toast } from "../parts/toasts";
import { t } from "../words";
import { useDraft } from "./agent-draft";

export type Agent = Schemas["Agent"];
export type Changes = Partial<Schemas["AgentPatch"]>;
export type Field = keyof Changes & keyof Agent;

/** What the API gives a field that is not sent; all of them, or the types are wrong. */
export const DEFAULTS: Record<Exclude<Field, "name">, unknown> = {
  systemPrompt: "", slmModelId: null, modelOptions: null, slmModelFallbackIds: [],
  voiceId: null, voiceFallbackIds: [], voiceSpeed: 1, voiceStability: 0.5, pronunciations: [],
  transcriberId: null, transcriberFallbackIds: [], languageHint: null, languages: [], keyterms: [],
  turnEndpointDelay: 100, minTurnDuration: 50, minInterruptionDuration: 100, frameActivationThreshold: 0.35,
  postSpeechCooldown: 400, ultravadEotThreshold: null, speculativeSilenceMs: 150, fallbackSilenceMs: 3000,
  allowEndCall: true, allowPressKeys: false, keyInputs: [], answering: null, isActive: true, postCallSummaryEnabled: false, postCallExtractionSchema: [],
  postCallWebhookUrl: null, firstSpeaker: "user", agentGreeting: null, agentGreetingEnabled: false,
  firstMessageUninterruptible: false, firstMessageDelay: 0, maxCallDurationSeconds: 600,
  silenceTimeoutSeconds: 30, silenceReminders: 2, latencyTargetMs: null, hedging: null, fillerAfterMs: null, fillers: [], knowledgeSearchInstructions: null, knowledgeBaseIds: [],
  backgroundSoundId: null, backgroundSoundVolume: 0.15, holdMessage: null, holdMusicUrl: null, toolIds: [],
  transferTargets: [],
};

const same = (a: unknown, b: unknown) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

export type Conflict = { field: Field; mine: unknown; theirs: unknown };

export class Conflicts extends Error {
  constructor(readonly fields: Conflict[]) {
    super("conflict");
  }
}

export type Form = {
  agent: Agent;
  shown: Agent;
  changes: Changes;
  set: <F extends Field>(field: F, value: Agent[F]) => void;
  /** The secret of the webhook, which is never shown: null takes it away, undefined leaves it. */
  setSecret: (value: string | null | undefined) => void;
  reset: (field: Field) => void;
  isDefault: (field: Field) => boolean;
  /** Variables that a call or the test panel has given, if that is known. */
  known?: ReadonlySet<string>;
  /** What is wrong with a field, or with a part of one: `transferTargets.0.number`. */
  wrong: (field: string) => string | undefined;
};

/** `base`: what the fields held when they were first changed, to know whether somebody else changed
    them since. */
type Edit = { changes: Changes; base: Partial<Agent> };
const UNCHANGED: Edit = { changes: {}, base: {} };

/** What remains to be saved after `sent` was: what was changed since, also back to `before`. */
function since(now: Changes, sent: Changes, before: Agent | undefined, saved: Agent): Edit {
  const back = Object.keys(sent).filter((field) => !(field in now) && before && field in before);
  const wished = { ...Object.fromEntries(back.map((field) => [field, before?.[field as Field]])), ...now } as Record<string, unknown>;
  const left = Object.entries(wished).filter(([field, value]) => !(field in sent && same(value, sent[field as Field])) && !(field in saved && same(value, saved[field as Field])));
  return { changes: Object.fromEntries(left), base: Object.fromEntries(left.map(([field]) => [field, saved[field as Field]])) };
}

export type Called = { name?: string; note?: string };

/** Undefined for a version that is not kept any more. */
async function begunWith(id: string, number: number): Promise<Record<string, unknown> | undefined> {
  const found = await data(api.GET("/v1/agents/{id}/versions/{number}", { params: { path: { id, number } } })).catch(() => undefined);
  return found?.agent;
}

export function useAgentForm(id: string, may: boolean) {
  const found = useQuery(agentQuery(id));
  const [{ changes, base }, setEdit] = useState<Edit>(UNCHANGED);
  const save = useMutation({
    mutationFn: async ({ force = false, called = {} }: { force?: boolean; called?: Called }) => {
      const now = await data(api.GET("/v1/agents/{id}", { params: { path: { id } } }));
      const fields = Object.keys(changes) as Field[];
      const both = fields.filter((field) => !same(now[field], base[field]) && !same(now[field], changes[field]));
      if (both.length && !force) throw new Conflicts(both.map((field) => ({ field, mine: changes[field], theirs: now[field] })));
      await data(api.POST("/v1/agents/{id}/versions", { params: { path: { id } }, body: { agent: changes, base: now.version, ...called } }));
      return { saved: await data(api.GET("/v1/agents/{id}", { params: { path: { id } } })), sent: changes, before: agent };
    },
    onSuccess: async ({ saved, sent, before }) => {
      queries.setQueryData(["agent", id], saved);
      // What was changed while it was being saved is not in it, and stays a change.
      setEdit((old) => since(old.changes, sent, before, saved));
      toast(t("agent.saved"));
      void queries.invalidateQueries({ queryKey: ["agents"] });
      await draft.saved();
      void queries.invalidateQueries({ queryKey: ["versions", id] });
    },
  });
  const agent = found.data;
  const draft = useDraft({
    id,
    may,
    base: agent?.version,
    changes,
    began: async (there) => {
      const given = there.agent as Changes;
      // What the fields held when the draft was begun, if the agent is another by now.
      const old = agent && there.base !== null && there.base !== agent.version ? await begunWith(id, there.base) : agent;
      setEdit({ changes: given, base: Object.fromEntries(Object.keys(given).map((field) => [field, (old as Record<string, unknown> | undefined)?.[field]])) });
    },
  });
  const wrongs = save.error instanceof ApiError ? save.error : undefined;
  const form: Form | undefined = agent && {
    agent,
    shown: { ...agent, ...changes } as Agent,
    changes,
    set: (field, value) =>
      setEdit((old) => {
        const next: Changes = { ...old.changes, [field]: value };
        if (same(agent[field], value)) delete next[field];
        return { changes: next, base: field in old.base ? old.base : { ...old.base, [field]: agent[field] } };
      }),
    setSecret: (value) =>
      setEdit(({ changes: { postCallWebhookSecret: _, ...rest }, base }) => ({ changes: value === undefined ? rest : { ...rest, postCallWebhookSecret: value }, base })),
    reset: (field) => field !== "name" && form?.set(field, DEFAULTS[field] as never),
    isDefault: (field) => field !== "name" && same({ ...agent, ...changes }[field], DEFAULTS[field]),
    // What is published is told of as a part of the request: `agent.name`.
    wrong: (field) => wrongs?.of(`agent.${field}`),
  };
  const drop = () => {
    setEdit(UNCHANGED);
    save.reset();
  };
  return { found, form, save, draft, drop, dirty: Object.keys(changes).length > 0 };
}
