"""What schemathesis cannot know: the rules of the API that no schema expresses.

A request that fits its schema has to be accepted, unless each thing that is said to be wrong with
it is one of `RULES`. One that does not fit has to be refused, unless all that is wrong with it is
an empty text or a null, which the API takes for what is not there (`wire.In`). The run's own API
key is spared: without it every later answer would be a 401, and its rate limit stays high. In
chains of requests an Idempotency-Key is used once. Loaded by schemathesis itself (`fuzzing.py`).
"""

from __future__ import annotations

import os
import re
import uuid
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.generation.meta import TestPhase
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

# The sentence in `details`, and why no schema says it.
RULES = {
    # What is referred to has to be there.
    r".* not found(: GET .*)?": "a reference",
    r".* not exist.*": "a reference",
    # One field is right or wrong by another.
    r".* (is|are) required with .*": "which settings a provider needs",
    r".* is not used with(out)? .*": "which settings a provider, or a document, knows",
    r".* must have exactly one of text and url": "one way to send a document or the other",
    r".* must have a url for refreshHours to be of use": "what can be fetched again",
    r".* must have no format with a url: .*": "who tells what it is",
    r"File must (be txt, md, html, pdf, docx or csv, .*|not be empty)": "the name of a file",
    r".* must be before .*": "two times",
    r".*maxLength must not be less than minLength": "two lengths",
    r".* must not name the same origin twice": "two ways to write one",
    r"Agent must hold fields of an agent, which .* is not": "the names of an agent's fields",
    r".*briefing is for warm transfers.*": "a cold transfer has none",
    r".*(postDialDigits|headers) need merge bridge.*": "who makes the call",
    r".*(callerId caller|transcribe) needs merge bridge.*": "who makes the call",
    r".*headers must have at most \d+ characters together.*": "the size of a whole list",
    r".* must be a SIP address such as .*": "which addresses can be called",
    r"Exactly one of target and to must be given": "one way to say it or the other",
    r"The agent has no target .*": "a reference",
    r".* must not hold the same (name|text) twice": "unique by one member of the entries",
    r".* must not have a parameter in its host": "a part of a URL",
    r".* is no parameter: .*": "what stands between braces",
    r"Offset must not be given with after": "one way to walk a list or the other",
    r"A stream has no pages.*": "one way to read a list or the other",
    r"Interval must be day for more than .*": "two times",
    r"Messages must hold the results of tool calls.*": "the order of the entries",
    r"Messages must hold a result for each tool call": "the order of the entries",
    r"Messages must hold no blank message of a user": "one field is right or wrong by another",
    r"Messages must end with a message of the user": "the order of the entries",
    # It depends on the moment, on the operator, or on who asks.
    r".* must be in the future": "the time now",
    r".* must be at most .* from now": "the time now",
    r"Phone number is of .* which places no calls yet": "what the server has lines for",
    r"Embedding model cannot be used: .*": "which models and keys the server has",
    r".* says the operator": "the operator's limits",
    # A language of its own.
    r"Password is easy to guess.*": "passwords that people use",
    r".* is not a( possible)? phone number.*": "numbering plans",
    r".* must be in E\.164 format.*": "how many digits there are between the separators",
    r".* must be an IP address.*": "addresses and networks, of two versions",
    r".* must be a (valid )?URL.*": "RFC 3986",
    r".* must not contain (spaces|a user name or a password).*": "a part of a URL",
    r".* must not contain control characters or spaces at its ends": "Unicode's control characters",
    r".* must not be blank": "Unicode's white space",
    r".* must be of one line, without tabs": "what breaks a line in Unicode",
    r".* is a header that Chorus sets itself": "some names out of all",
    r".* must have at most six decimals": "binary fractions",
    r".* must have at most \d+ bytes as JSON": "the size of a whole object",
    r".* must be an e-mail address.*": "RFC 5322",
    # What every value has to be, whatever else it is: json_body.py.
    r"The text holds (a NUL character|the control character|half a surrogate).*": "text",
    r"The number is (a whole number beyond 64 bits|too large)": "numbers",
    r"The .* nested deeper than .*": "a free-form object",
}
_ENOUGH = 100_000  # requests a minute
_OWN_KEY = os.environ["CHORUS_FUZZ_KEY_ID"]
_ENTRY = "Array with invalid items"
_PATH = re.compile(
    rf"(?:in body|^ +) - ([\w -]+?(?: -> [\w ]+?)*(?:(?<={_ENTRY}): \w+)?): ", re.MULTILINE
)
_RULES = [re.compile(rule) for rule in RULES]


@schemathesis.check
def accepted_unless_a_rule_forbids(
    ctx: CheckContext, response: Response, case: Case
) -> bool | None:
    if response.status_code == 400:
        told = [detail["message"] for detail in response.json().get("details", ())]
        if told and all(any(rule.fullmatch(text) for rule in _RULES) for text in told):
            return None
    if "None" in map(str, (case.path_parameters or {}).values()):
        return None  # what it took the id from was null
    return positive_data_acceptance(ctx, response, case)


@schemathesis.check
def refused_unless_empty(ctx: CheckContext, response: Response, case: Case) -> bool | None:
    try:
        return negative_data_rejection(ctx, response, case)
    except AcceptedNegativeData as failure:
        paths = [re.split(" -> |: ", path) for path in _PATH.findall(failure.message)]
        if paths and all(_has_empty(case.body, path) for path in paths):
            return None
        raise


def _has_empty(body: Any, path: list[str]) -> bool:
    """Whether what is at the path is empty; of a list, whose index is not told, in any entry."""
    if not path:
        return body in ("", None)
    if isinstance(body, list):
        rest = path[1:] if path[0] == _ENTRY else path
        return any(_has_empty(entry, rest) for entry in body)
    return isinstance(body, dict) and _has_empty(body.get(path[0]), path[1:])


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    if case.path.startswith("/v1/api-keys/") and _OWN_KEY in str(case.path_parameters.get("id")):
        case.path_parameters["id"] = str(uuid.uuid4())
    # A limit that it sets for itself is one that it can live with.
    if case.path == "/v1/organization" and isinstance(case.body, dict):
        limit = case.body.get("rateLimitPerMinute")
        if type(limit) is int and 1 <= limit < _ENOUGH:
            case.body["rateLimitPerMinute"] = _ENOUGH
    # The same key twice gives the answer of the first time, also when what it made is gone since.
    # Only where one request follows from another: "coverage" leaves headers out on purpose.
    if case.meta is None or case.meta.phase.name != TestPhase.STATEFUL or not case.headers:
        return
    key = case.headers.get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch(r"[!-~]([ -~]{0,200}[!-~])?", key):
        case.headers["Idempotency-Key"] = f"{key}-{uuid.uuid4().hex}"
