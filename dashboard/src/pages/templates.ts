// With what a new agent begins, and making it.
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { api, data, type Schemas } from "../api/client";
import { queries } from "../api/session";
import type { Key } from "../words";

export type Template = { name: Key; text: Key; body: Omit<Schemas["AgentCreate"], "name"> & { name: string } };

const BISTRO = `You answer the telephone of {{restaurant}}. Be brief, warm and concrete: one or two sentences at a time.
Ask for the day, the time and the number of people, one after the other, then repeat the booking.

# What a real language model ignores and the built-in script model follows:
script:
at start: say "Chorus Bistro, good evening. How can I help?"
when caller says "book a table" or "reserve" or "a table": say "With pleasure. For how many people?" and go to party
when caller says "open" or "opening hours": say "We are open every day from noon to eleven at night."
when caller says "bye" or "goodbye" or "thank you": say "Thank you for calling. Goodbye." and end
otherwise: say "You can book a table, ask when we are open, or say goodbye."

step party:
    when caller says "{party:number}":
        say "A table for {party}. See you soon!"
    otherwise: say "Please tell me a number of people."
`;

const first = { firstSpeaker: "agent", agentGreetingEnabled: true } as const;

export const DEMO: Template = {
  name: "template.demo",
  text: "template.demo.text",
  body: { name: "Bistro", systemPrompt: BISTRO, firstSpeaker: "agent", postCallSummaryEnabled: true },
};

export const TEMPLATES: Template[] = [
  DEMO,
  {
    name: "template.desk",
    text: "template.desk.text",
    body: {
      name: "Front desk",
      systemPrompt: "You answer the telephone of {{company}}. Find out who is calling and why, answer what you know, and otherwise take a message: name, number, and what it is about. Be brief. Never invent facts.",
      ...first,
      agentGreeting: "Hello, this is {{company}}. How can I help you?",
      postCallSummaryEnabled: true,
      postCallExtractionSchema: [
        { name: "caller_name", type: "string", description: "Name of the caller", required: false },
        { name: "reason", type: "string", description: "Why they called, in one sentence", required: true },
      ],
    },
  },
  {
    name: "template.remind",
    text: "template.remind.text",
    body: {
      name: "Reminder",
      systemPrompt: "You call {{name}} to remind of the appointment on {{date}}. Ask whether they will come. If not, ask whether somebody may call back with another date. Then say goodbye and hang up.",
      ...first,
      agentGreeting: "Hello {{name}}, I am calling about your appointment on {{date}}.",
      maxCallDurationSeconds: 180,
      postCallExtractionSchema: [{ name: "will_come", type: "boolean", description: "Whether they will come", required: true }],
    },
  },
  { name: "template.empty", text: "template.empty.text", body: { name: "Agent", systemPrompt: "" } },
];

/** Makes it, and goes to its page. */
export function useMakeAgent() {
  const navigate = useNavigate();
  return useMutation({
    mutationFn: (wish: { template: Template; name: string }) => data(api.POST("/v1/agents", { body: { ...wish.template.body, name: wish.name } })),
    onSuccess: async (made) => {
      await queries.invalidateQueries({ queryKey: ["agents"] });
      await navigate({ to: "/agents/$id", params: { id: made.id } });
    },
  });
}
