// Ways to try an agent beside its editor. One that needs a client of its own (a microphone over a
// socket, a chat) is an entry here: its panel is given the agent as it stands in the editor, what
// of it is not saved, and the values of its {{variables}}.
import type { ReactNode } from "react";
import type { Schemas } from "../api/client";
import type { Key } from "../words";

export type TrialProps = {
  agent: Schemas["Agent"];
  changes: Partial<Schemas["AgentPatch"]>;
  variables: Record<string, string>;
};

export type Trial = { id: string; word: Key; Panel: (props: TrialProps) => ReactNode };

export const TRIALS: readonly Trial[] = [];
