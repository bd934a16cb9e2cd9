// Make an agent and a number, plan a call, look at it, and cancel it.
//   node build/example.js http://127.0.0.1:8000 sk_live_…

import { chorus, ChorusError, unwrap } from "./chorus.js";

declare const process: { argv: string[] };

const [url = "http://127.0.0.1:8000", key = ""] = process.argv.slice(2);
const api = chorus(url, key);

const agent = unwrap(
  await api.POST("/v1/agents", {
    body: { name: "Front desk", systemPrompt: "Be brief.", voiceSpeed: 1.1 },
  }),
).data;

const number = unwrap(
  await api.POST("/v1/phone-numbers", {
    body: {
      number: "+14155550101",
      provider: "twilio",
      agentId: agent.id,
      twilioAccountSid: "AC00000000000000000000000000000000",
      twilioAuthToken: "the-auth-token-of-that-account",
    },
  }),
).data;

const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
const planned = unwrap(
  await api.POST("/v1/calls", {
    params: { header: { "Idempotency-Key": `example-${tomorrow}` } },
    body: {
      agentId: agent.id,
      phoneNumberId: number.id,
      to: "+14155550199",
      contextVariables: { practice: "Dr. Lind" },
      scheduledAt: tomorrow,
    },
  }),
).data;

const path = { id: planned.id };
const call = unwrap(await api.GET("/v1/calls/{id}", { params: { path } })).data;
const agents = unwrap(await api.GET("/v1/agents", { params: { query: { limit: 10 } } }));
const cancelled = unwrap(await api.POST("/v1/calls/{id}/cancel", { params: { path } })).data;

let refusal = "";
try {
  unwrap(await api.POST("/v1/agents", { body: { name: "" } }));
} catch (error) {
  if (!(error instanceof ChorusError)) throw error;
  refusal = `${error.status} ${error.failure.details?.[0]?.field ?? ""}`;
}

console.log(
  JSON.stringify({
    agent: agent.voiceSpeed,
    call: call.id === planned.id ? call.status : "another",
    customer: call.customerNumber,
    agents: agents.pagination.total,
    ended: cancelled.status,
    refusal,
  }),
);
