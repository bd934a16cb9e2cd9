"""What the document says before its first operation: the whole, and one sentence per tag."""

from __future__ import annotations

TITLE = "Chorus"

DESCRIPTION = """\
Voice AI agents on the telephone: agents, phone numbers, tools and calls.

**Keys.** Every request carries `Authorization: Bearer <API key>`. A key belongs to one
organization and sees nothing of any other: what belongs to another is answered with 404.

**Answers.** A success is `{"data": …}`; a list adds `{"pagination": {"total", "limit",
"offset", "totalIsExact", "nextCursor"}}`, whose `nextCursor`, sent as `after`, leads to the next
page. Names are camelCase, ids are UUIDs, times are ISO 8601 in UTC, telephone numbers are E.164,
money is in dollars.

**Errors.** Every error is JSON: `error` is a sentence for people, `code` is stable and for
programs, `requestId` is what the server's log knows the request by, and `details` names the
fields that are wrong.

**Limits.** Requests are counted per key and minute. `X-RateLimit-Limit`, `-Remaining` and
`-Reset` tell what is left; a 429 says in `Retry-After` how many seconds to wait.

**Repeating.** A POST with an `Idempotency-Key` can be sent again for 24 hours and has its effect
once: the first answer is given again.
"""

LICENSE = {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}

TAGS = {
    "Agents": "What an agent says and knows, how it sounds, and when it takes its turn.",
    "Phone numbers": "Numbers at a carrier or a PBX, and which agent answers each of them.",
    "Tools": "HTTP requests that an agent may make during a call.",
    "Calls": "Place calls, watch them, and read what was said.",
    "Provider keys": "Keys of vendors whom your calls hear, think and speak with.",
    "Catalogue": "What this installation can speak with, think with and play.",
    "Knowledge": "Documents that an agent looks things up in.",
    "Webhooks": "What was sent to your servers when calls ended, and sending it again.",
    "Billing": "What calls cost, what was paid, and what is left.",
    "Accounts": "The organization that a key belongs to, its members, its API keys, and the log of "
    "who changed what.",
    "Single sign-on": "An organization's identity provider (OpenID Connect), and logging in by it.",
    "Sessions": "How members log in with a browser. Programs use API keys.",
}
