// Ways to try an agent beside its editor. Each is a piece of its own that is loaded when it is
// looked at; its panel is given the agent as it stands in the editor, what of it is not saved, and
// the values of its {{variables}}.
import { type ComponentType, lazy } from "react";
import type { Schemas } from "../api/client";
import type { Key } from "../words";

export type TrialProps = {
  agent: Pick<Schemas["Agent"], "id" | "name">;
  changes: Partial<Schemas["AgentPatch"]>;
  variables: Record<string, string>;
};

export type Trial = { id: string; word: Key; Panel: ComponentType<TrialProps> };

export const Talk = lazy(() => import("../pages/trial-talk"));

export const TRIALS: readonly Trial[] = [
  { id: "talk", word: "talk", Panel: Talk },
  { id: "chat", word: "chat", Panel: lazy(() => import("../pages/trial-chat")) },
];
