"""The values that examples are made of: whole requests by schema, single fields by name.

A response's example takes the request's values where it has the same fields. A test holds every
example to its schema, and another sends every request to the server.
"""

from __future__ import annotations

from typing import Any

AGENT = "7b0c2f5e-6c1d-4f0a-9a55-2f6a1d7e9c01"
NUMBER = "c7a9d3f0-8f4e-4b7b-8a0e-51a6f9c2d102"
TOOL = "1f6e8a57-3c42-4d0b-b1f8-90c5e7a3d203"
CALL = "e2b7c6d4-05a1-4a8e-8d7c-6b3f1a9e5304"
ORGANIZATION = "5d1a4c3b-7e2f-4c69-9b80-a4d2e6f1c405"
BASE = "3c8e1f70-2d4b-4a96-8b1c-7e5f0a9d6107"
DOCUMENT = "a4d7b2c1-9e8f-4c3a-b5d6-0f1e2a3b4c08"
OTHER = "94f3b2a1-6d5c-4e7f-8a9b-0c1d2e3f4506"

_MODEL_OPTIONS: dict[str, Any] = {
    "temperature": 0.3,
    "maxTokens": 300,
    "reasoningEffort": "minimal",
    "extraBody": {"top_p": 0.9},
}

_AGENT: dict[str, Any] = {
    "name": "Front desk",
    "modelOptions": _MODEL_OPTIONS,
    "systemPrompt": "You answer the telephone of {{practice}}. Be brief and friendly.",
    "firstSpeaker": "agent",
    "agentGreeting": "Good morning, this is {{practice}}. How can I help?",
    "agentGreetingEnabled": True,
    "languageHint": "en",
    "postCallSummaryEnabled": True,
    "postCallExtractionSchema": [
        {
            "name": "reason",
            "type": "string",
            "description": "Why the caller called",
            "required": True,
            "enum": ["appointment", "prescription", "other"],
        }
    ],
    "answering": {
        "mailbox": "leave_message",
        "message": "This is {{practice}}. Please call us back about your visit.",
        "screening": "say_who_calls",
        "introduction": "This is {{practice}}, about your visit on Friday.",
    },
    "keyInputs": [
        {
            "name": "pin",
            "description": "Before anything of a patient's file is told",
            "minLength": 4,
            "maxLength": 4,
            "secret": True,
        }
    ],
    "transferTargets": [
        {
            "name": "Reception",
            "number": "+14155550123",
            "description": "When the caller asks for a person",
            "type": "warm_briefing",
            "whenUnavailable": "The reception is closed. Shall I take a message?",
        }
    ],
}

_AUTHOR = {"author": "Ada Lind", "authorKind": "member"}

_VIEW = {"name": "Failed inbound", "page": "calls", "query": "status=failed&direction=inbound"}

_ISSUER = "https://login.example.com"
_DOMAIN = "example.com"
_STATE = "vDqk0m5bq2mUuY3cHh8jT1rN4wX7zA9e"

_SCRIPT: list[dict[str, Any]] = [
    {
        "role": role,
        "content": content,
        "startedAtMs": started,
        "endedAtMs": ended,
        "interrupted": False,
    }
    for role, content, started, ended in (
        ("assistant", "Good evening. How can I help?", 400, 2300),
        ("user", "A table for five on Friday, please.", 3900, 6200),
    )
]
_EXPECTED: dict[str, Any] = {
    "endedReason": "agent_ended",
    "tools": [{"name": "find_table", "arguments": '{"people": 5}'}],
    "extractions": {"people": 5},
}

SCHEMAS: dict[str, Any] = {
    "ViewCreate": _VIEW,
    "ViewPatch": {"name": "Failed"},
    "View": _VIEW,
    "SsoPut": {
        "issuer": _ISSUER,
        "clientId": "chorus",
        "clientSecret": "the-secret-of-that-client",
        "domains": [_DOMAIN],
        "defaultRole": "viewer",
        "required": False,
    },
    "Sso": {
        "redirectUri": f"https://chorus.example.com/dashboard/sso/{ORGANIZATION}",
        "signInUrl": f"https://chorus.example.com/dashboard/login?organization={ORGANIZATION}",
    },
    "SsoConnection": {"issuer": _ISSUER, "clientId": "chorus", "defaultRole": "viewer"},
    "SsoDomain": {
        "domain": _DOMAIN,
        "recordName": f"_chorus-sso.{_DOMAIN}",
        "recordValue": "chorus-sso=0f8c2f0f5a0b4f6f9a53c7e9b1f0d7aa",
    },
    "SsoTestWish": {"issuer": _ISSUER},
    "SsoDomainWish": {"domain": _DOMAIN},
    "SsoFound": {"id": ORGANIZATION, "name": "Example"},
    "SsoBegun": {"url": f"{_ISSUER}/authorize?client_id=chorus&state={_STATE}"},
    "SsoReturnWish": {
        "state": _STATE,
        "code": "code-of-the-provider",
        "error": None,
        "iss": _ISSUER,
    },
    "SsoLinkWish": {"challenge": _STATE},
    "VendorFailuresOut": {
        "vendor": "deepgram",
        "stage": "transcription",
        "failures": 3,
        "calls": 2,
    },
    "OngoingCall": {
        "agentName": "Front desk",
        "provider": "twilio",
        "status": "in_progress",
        "transferStatus": None,
        "floor": "thinking",
        "lastLine": {"role": "user", "content": "On Friday at seven, please.", "atMs": 14200},
        "latencyMs": 840,
        "problem": None,
        "takenOverBy": None,
    },
    "AgentCreate": _AGENT,
    "ModelOptions": _MODEL_OPTIONS,
    "PublishableTokenCreate": {
        "agentId": AGENT,
        "name": "Our website",
        "origins": ["https://www.example.com"],
        "contextVariables": {"practice": "Dr. Lind"},
    },
    "PublishableTokenPatch": {"maxCalls": 10},
    "PublishableToken": {"token": "pk_live_Zm9yIGV2ZXJ5Ym9keSB0byByZWFk", "lastUsedAt": None},
    "SupervisorCreate": {"hears": "both"},
    "SupervisorMode": {"mode": "talk"},
    "PressKeys": {"keys": "1ww204#"},
    "TransferWish": {"target": "Reception", "reason": "Ada Lovelace wants to move her visit."},
    "AgentPatch": {"voiceSpeed": 1.1, "fallbackSilenceMs": 2500, "isActive": True},
    "AgentVersionCreate": {
        "agent": {"agentGreeting": "Good morning. How can I help?"},
        "name": "Shorter greeting",
        "note": "Callers talked over the long one.",
        "base": None,
    },
    "AgentVersionPatch": {"name": "Shorter greeting"},
    "AgentVersionRestore": {"name": None, "note": "Callers missed the long greeting."},
    "AgentVersion": {"number": 2, "restoredFrom": None, "agent": _AGENT, **_AUTHOR},
    "ListedAgentVersion": {"number": 2, "restoredFrom": None, **_AUTHOR},
    "AgentVersionChange": {
        "field": "agentGreeting",
        "before": "Good morning, this is {{practice}}. How can I help?",
        "after": "Good morning. How can I help?",
    },
    "AgentVersionDiff": {"number": 2, "against": 1},
    "AgentDraftPut": {"agent": {"voiceSpeed": 1.1}, "base": 2},
    "AgentDraft": {"agent": {"voiceSpeed": 1.1}, "base": 2, **_AUTHOR},
    "PhoneNumberCreate": {
        "name": "Main line",
        "number": "+14155550100",
        "provider": "twilio",
        "agentId": AGENT,
        "metadata": {"site": "north"},
        "twilioAccountSid": "AC00000000000000000000000000000000",
        "twilioAuthToken": "the-auth-token-of-that-account",
    },
    "PhoneNumberPatch": {"name": "Evening line", "agentId": None},
    "ToolCreate": {
        "name": "find_appointment",
        "description": "Finds the next free appointment. Use it when the caller wants one.",
        "type": "http",
        "config": {
            "url": "https://api.example.com/appointments/{day}",
            "method": "GET",
            "timeout": 3000,
            "headers": [{"key": "Accept", "value": "application/json"}],
            "body": [
                {
                    "name": "day",
                    "type": "string",
                    "description": "The day, such as 2026-01-31",
                    "required": True,
                }
            ],
        },
    },
    "ToolArguments": {"arguments": {"day": "friday"}},
    "ToolTestHeader": {"key": "Authorization", "value": "********"},
    "ToolTestRequest": {
        "method": "GET",
        "url": "https://api.example.com/appointments?day=friday",
        "body": None,
    },
    "ToolTest": {
        "ok": True,
        "status": 200,
        "elapsedMs": 184,
        "result": '{"free": ["09:20", "11:40"]}',
    },
    "ToolPatch": {"description": "Finds a free appointment on a day."},
    "CallCreate": {
        "agentId": AGENT,
        "phoneNumberId": NUMBER,
        "to": "+14155550199",
        "contextVariables": {"practice": "Dr. Lind", "visits": 3},
        "metadata": {"customer": "4711"},
    },
    "KnowledgeBaseCreate": {
        "name": "Handbook",
        "description": "What the front desk is asked.",
    },
    "KnowledgeBasePatch": {"name": "Handbook of the practice"},
    "DocumentCreate": {
        "name": "Opening hours",
        "text": "# Opening hours\n\nWe are open from nine to five, and closed on Sundays.",
        "format": "md",
    },
    "DocumentPatch": {"name": "Opening hours in winter"},
    "Document": {"status": "ready", "problem": None, "chunkCount": 1, "characters": 52},
    "KnowledgeSearch": {"query": "Are you open on Sundays?", "limit": 5},
    "FoundPassage": {
        "chunkId": "4711",
        "document": "Opening hours",
        "heading": "Opening hours",
        "text": "We are open from nine to five, and closed on Sundays.",
        "score": 0.0328,
    },
    "KnowledgeFound": {"ways": ["words", "meaning"], "elapsedMs": 9.4},
    "Chunk": {
        "id": "4711",
        "heading": "Opening hours",
        "text": "We are open from nine to five, and closed on Sundays.",
    },
    "ProviderKeyCreate": {
        "provider": "deepgram",
        "apiKey": "the-key-from-the-vendors-console",
        "name": "Deepgram",
        "baseUrl": None,
        "models": [],
    },
    "ProviderKeyPatch": {"name": "Deepgram, production"},
    "ProviderKeyRotate": {"apiKey": "the-new-key-from-the-console", "baseUrl": None},
    "ProviderKey": {"usedFor": ["transcriber", "voice"], "keyHint": "…sole", "models": []},
    "ProviderKeyTest": {
        "ok": True,
        "problem": None,
        "message": "Deepgram takes the key.",
        "elapsedMs": 212,
    },
    "Pagination": {
        "total": 1,
        "limit": 50,
        "offset": 0,
        "totalIsExact": True,
        "nextCursor": None,
    },
    "Deleted": {"id": AGENT, "deleted": True},
    "TranscriptEntry": {"role": "user", "content": "I would like an appointment on Friday."},
    "Analysis": {
        "summary": "The caller made an appointment for Friday at nine.",
        "extractions": {"reason": "appointment"},
    },
    "TestCaseCreate": {
        "callId": CALL,
        "name": "Changes the number of people",
        "note": "The agent must look for a table again.",
    },
    "TestCasePatch": {"expected": _EXPECTED},
    "ListedTestCase": {"name": "Changes the number of people", "agentVersion": 7},
    "TestCase": {"script": _SCRIPT, "expected": _EXPECTED, "contextVariables": {"shop": "Lind"}},
    "ScriptLine": _SCRIPT[0],
    "ExpectedTool": _EXPECTED["tools"][0],
    "Expected": _EXPECTED,
    "Voice": {
        "name": "Sunny",
        "provider": "espeak",
        "language": "en",
        "languages": ["en", "de"],
        "gender": "female",
    },
    "SlmModel": {
        "name": "gpt-4.1-mini",
        "provider": "openai",
        "contextWindow": 1047576,
        "audioInput": False,
        "pricePerMillionAudioTokens": None,
    },
    "Transcriber": {
        "name": "Deepgram Nova-3",
        "provider": "deepgram",
        "languages": [],
        "latencyP99Ms": 350,
        "pricePerMinute": 0.0048,
    },
    "BackgroundSound": {"name": "Office", "description": "Voices and keyboards, far away"},
    "Event": {"seq": 4, "atMs": 1840, "kind": "turn", "data": {"role": "assistant"}},
    "Call": {"turns": None, "transferCalls": []},
}

# Which `id` a schema's own is.
IDS = {
    "Agent": AGENT,
    "PhoneNumber": NUMBER,
    "Tool": TOOL,
    "ProviderKey": OTHER,
    "KnowledgeBase": BASE,
    "Document": DOCUMENT,
    "Call": CALL,
    "ListedCall": CALL,
    "Organization": ORGANIZATION,
}

FIELDS: dict[str, Any] = {
    "agentId": AGENT,
    "answeredAt": "2026-01-31T09:00:05.120Z",
    "available": True,
    "callId": CALL,
    "callSid": "CA00000000000000000000000000000000",
    "contextVariables": {"practice": "Dr. Lind", "visits": 3},
    "cost": 0.0421,
    "createdAt": "2026-01-31T09:00:00.000Z",
    "customerNumber": "+14155550199",
    "description": "What it is for",
    "direction": "outbound",
    "durationSeconds": 74,
    "email": "ada@example.com",
    "endedAt": "2026-01-31T09:01:19.480Z",
    "endedDetail": None,
    "endedReason": "customer_ended",
    "from": "2026-01-01T00:00:00Z",
    "hasCredentials": True,
    "hasPostCallWebhookSecret": False,
    "isDefault": True,
    "knowledgeBaseId": BASE,
    "documentId": DOCUMENT,
    "metadata": {"customer": "4711"},
    "name": "Front desk",
    "number": "+14155550100",
    "organizationId": ORGANIZATION,
    "phoneNumberId": NUMBER,
    "recordingUrl": f"https://chorus.example.com/v1/calls/{CALL}/recording",
    "search": "desk",
    "startedAt": "2026-01-31T09:00:00.350Z",
    "status": "completed",
    "to": "2026-02-01T00:00:00Z",
    "toolIds": [TOOL],
    "turnCount": 6,
    "updatedAt": "2026-01-31T09:00:00.000Z",
    "url": "https://example.com/hooks",
}
