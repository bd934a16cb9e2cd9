// The draft of an agent: what is being changed is kept at the server while it is typed, so that it
// outlives this page, and whoever else works on the same agent is noticed.
import { useEffect, useRef, useState } from "react";
import { ApiError, api, body, type Schemas } from "../api/client";
import type { Changes } from "./agent-state";

export type Draft = Schemas["AgentDraft"];
export type DraftState = {
  /** Not known yet, as it is at the server, not yet there, cannot be kept, or somebody else's. */
  is: "unknown" | "kept" | "waiting" | "failed" | "theirs";
  author: string | null;
  at: string | null;
  /** What somebody else has kept meanwhile. */
  theirs: Draft | null;
  error: unknown;
};

const AFTER_MS = 900;
const UNKNOWN: DraftState = { is: "unknown", author: null, at: null, theirs: null, error: null };

/** What of the changes may be kept: a secret is only sent when it is saved. */
function kept(changes: Changes): Record<string, unknown> {
  const { postCallWebhookSecret: _, ...rest } = changes;
  return rest;
}

async function asked(id: string): Promise<{ draft: Draft; tag: string }> {
  let tag = "";
  const { data } = await body(api.GET("/v1/agents/{id}/draft", { params: { path: { id } } }).then((answer) => ((tag = answer.response.headers.get("etag") ?? ""), answer)));
  return { draft: data, tag };
}

async function put(id: string, changes: Changes, base: number, tag: string): Promise<{ draft: Draft; tag: string }> {
  let next = "";
  const headers = { "If-Match": tag };
  const { data } = await body(api.PUT("/v1/agents/{id}/draft", { params: { path: { id } }, body: { agent: kept(changes), base }, headers }).then((answer) => ((next = answer.response.headers.get("etag") ?? ""), answer)));
  return { draft: data, tag: next };
}

/** Keeps `changes`. `began` is told of a draft that is there when the page is opened. */
export function useDraft({ id, may, base, changes, began }: { id: string; may: boolean; base: number | undefined; changes: Changes; began: (draft: Draft) => void }) {
  const [state, setState] = useState<DraftState>(UNKNOWN);
  const tag = useRef<string | null>(null);
  const sent = useRef("{}");
  const known = base !== undefined;
  useEffect(() => {
    if (!may || !known) return;
    let gone = false;
    tag.current = null;
    sent.current = "{}";
    setState(UNKNOWN);
    asked(id)
      .then((found) => {
        if (gone) return;
        tag.current = found.tag;
        if (found.draft.base === null) return setState((old) => ({ ...old, is: "waiting" }));
        sent.current = JSON.stringify(found.draft.agent);
        setState({ ...UNKNOWN, is: "kept", author: found.draft.author, at: found.draft.updatedAt });
        began(found.draft);
      })
      .catch((error: unknown) => !gone && setState({ ...UNKNOWN, is: "failed", error }));
    return () => {
      gone = true;
    };
    // `began` is made anew each time and does not matter here.
  }, [id, may, known]);

  const text = JSON.stringify(kept(changes));
  useEffect(() => {
    if (!may || base === undefined || tag.current === null || state.is === "theirs" || text === sent.current) return;
    setState((old) => ({ ...old, is: "waiting" }));
    let gone = false;
    const timer = setTimeout(async () => {
      try {
        if (text === "{}") await drop();
        else keep(await put(id, changes, base, tag.current ?? ""), text);
      } catch (error) {
        if (gone) return;
        if (error instanceof ApiError && error.status === 412) {
          const found = await asked(id);
          setState({ is: "theirs", author: found.draft.author, at: found.draft.updatedAt, theirs: found.draft, error: null });
          tag.current = found.tag;
        } else setState({ ...UNKNOWN, is: "failed", error });
      }
    }, AFTER_MS);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [id, may, base, text, state.is === "theirs", state.is === "unknown"]);

  function keep(found: { draft: Draft; tag: string }, what: string) {
    tag.current = found.tag;
    sent.current = what;
    setState({ ...UNKNOWN, is: "kept", author: found.draft.author, at: found.draft.updatedAt });
  }

  /** There is none afterwards. */
  async function drop() {
    if (tag.current === null) return;
    await body(api.DELETE("/v1/agents/{id}/draft", { params: { path: { id } } }));
    await saved();
  }

  /** It was published, and is gone with it. */
  async function saved() {
    sent.current = "{}";
    tag.current = (await asked(id)).tag;
    setState({ ...UNKNOWN, is: "waiting" });
  }

  /** Of two drafts, this page's or the one that is there. */
  async function choose(mine: boolean) {
    if (mine && base !== undefined) keep(await put(id, changes, base, tag.current ?? ""), text);
    else if (state.theirs) {
      sent.current = JSON.stringify(state.theirs.agent);
      began(state.theirs);
      setState({ ...UNKNOWN, is: "kept", author: state.theirs.author, at: state.theirs.updatedAt });
    }
  }

  return { ...state, drop, saved, choose };
}
