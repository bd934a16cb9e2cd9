"""Whether an agent would work: what is wrong in it, what it lacks here, and what it cannot reach.

Nothing is changed and no model is asked. Of each tool's server only the connection is tried, by
HEAD on its root: the tool itself is not called.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from chorus.agents import texts
from chorus.agents.tables import Agent
from chorus.catalogue.catalogue import LOCAL_EARS, Catalogue
from chorus.db import utcnow
from chorus.languages import code_of, languages
from chorus.outbound import Outbound, OutboundFailed, OutboundRefused
from chorus.speech.local import whisper_for
from chorus.speech.weights.manifest import OTHER_LANGUAGES
from chorus.talk.spec import AgentSpec, HttpTool
from chorus.talk.tools.template import fill, variables_of
from chorus.talk.transfer import OF_TRANSFER

_CONNECT_MS = 3000
_AT_ONCE = 10
_SOON_DAYS = 60
_HEAR = f"run `chorus models pull {OTHER_LANGUAGES}`, or name a vendor's transcriber"


@dataclass(frozen=True, slots=True)
class Finding:
    """`error`: calls go wrong. `warning`: they may."""

    severity: Literal["error", "warning"]
    field: str
    message: str


def of_texts(catalogue: Catalogue, agent: Agent) -> list[Finding]:
    """What would be refused if it were saved today."""
    whole = _texts_of(agent) | {"slm_model_id": agent.slm_model_id}
    problems = texts.problems(catalogue, agent.slm_model_id, agent.system_prompt, whole)
    return [Finding("error", problem.field, problem.message) for problem in problems]


def of_engines(catalogue: Catalogue, agent: Agent) -> list[Finding]:
    """What it names and this server does not have, or not any more."""
    found: list[Finding] = []
    gone = "This server does not have this {} any more, or no key for it: {} is used"
    for field, noun, id, entry, others, default in (
        (
            *("slmModelId", "language model", agent.slm_model_id, catalogue.model),
            *(agent.slm_model_fallback_ids, catalogue.default_model),
        ),
        (
            *("voiceId", "voice", agent.voice_id, catalogue.voice),
            *(agent.voice_fallback_ids, catalogue.voice_for(agent.language_hint)),
        ),
        (
            *("transcriberId", "transcriber", agent.transcriber_id, catalogue.transcriber),
            *(
                agent.transcriber_fallback_ids,
                catalogue.transcriber_for(agent.language_hint) or LOCAL_EARS,
            ),
        ),
    ):
        if default is None:
            found.append(Finding("error", field, f"This server has no {noun}"))
        elif id is not None and entry(id) is None:
            found.append(Finding("error", field, gone.format(noun, default.name)))
        for place, other in enumerate(others):
            if entry(uuid.UUID(other)) is None:
                where = field.replace("Id", f"FallbackIds.{place}")
                found.append(Finding("warning", where, gone.format(noun, "the next one")))
    found += _of_the_end(catalogue, agent)
    sound = agent.background_sound_id
    if sound is not None and catalogue.sound(sound) is None:
        found.append(Finding("error", "backgroundSoundId", "Background sound not found"))
    language = code_of(agent.language_hint)
    if language and language not in languages():
        message = f"There are no apologies and back-channels in {language!r}: they are English"
        found.append(Finding("warning", "languageHint", message))
    return found


def heard_here(catalogue: Catalogue, agent: Agent) -> tuple[str, ...]:
    """The languages that this machine is to hear for it; none where a vendor does."""
    named = catalogue.transcriber(agent.transcriber_id) if agent.transcriber_id else None
    if (named or catalogue.transcriber_for(agent.language_hint) or LOCAL_EARS) != LOCAL_EARS:
        return ()
    return tuple(dict.fromkeys(code_of(tag) for tag in (agent.language_hint, *agent.languages)))


def of_hearing(models: Path, codes: Sequence[str]) -> list[Finding]:
    """Languages (BCP 47 without region) that nothing in the folder of models hears."""
    deaf = [code for code in codes if code not in ("", "en") and not whisper_for(models, code)]
    if not deaf:
        return []
    spoken = ", ".join(deaf)
    message = f"Callers speak {spoken}, and this server hears English only: {_HEAR}"
    return [Finding("warning", "languageHint", message)]


def _of_the_end(catalogue: Catalogue, agent: Agent) -> list[Finding]:
    """A model that its vendor is about to retire, or has retired."""
    model = catalogue.model(agent.slm_model_id) if agent.slm_model_id else None
    if model is None or model.retires is None:
        return []
    left = (model.retires - utcnow().date()).days
    if left > _SOON_DAYS:
        return []
    verb = "retires" if left > 0 else "has retired"
    message = f"{model.provider} {verb} {model.name} on {model.retires.isoformat()}"
    return [Finding("warning" if left > 0 else "error", "slmModelId", message)]


def of_variables(agent: Agent, spec: AgentSpec, given: Mapping[str, Any]) -> list[Finding]:
    """Variables that nothing gives a value, where they stand. `spec` is of `agent`."""
    whole = _texts_of(agent)
    if spec.greeting is None:
        del whole["agent_greeting"]
    places = list(texts.templates(whole))
    for place, tool in enumerate(spec.tools):
        each = [tool.url, *(value for _, value in tool.headers)]
        places += [(f"toolIds.{place}", template) for template in each]
    entered = {wanted.name for wanted in spec.key_inputs}
    found: dict[Finding, None] = {}
    for field, template in places:
        more: Container[str] = ()
        if field.startswith("transferTargets."):
            more = OF_TRANSFER
        elif field.startswith("toolIds."):
            more = entered
        for name in variables_of(template):
            if given.get(name) is None and name not in more:
                message = f"{{{{{name}}}}} has no value unless a call's contextVariables give one"
                found[Finding("warning", field, message)] = None
    return list(found)


def _texts_of(agent: Agent) -> dict[str, Any]:
    """The columns with templates."""
    return {
        "system_prompt": agent.system_prompt,
        "agent_greeting": agent.agent_greeting,
        "hold_message": agent.hold_message,
        "answering": agent.answering,
        "transfer_targets": agent.transfer_targets,
    }


async def of_tools(
    tools: Sequence[HttpTool], given: Mapping[str, Any], outbound: Outbound
) -> list[Finding]:
    """Tools whose server cannot be reached from here."""
    places: dict[str, list[int]] = {}
    found: list[Finding] = []
    for place, tool in enumerate(tools):
        parts = urlsplit(fill(tool.url, given).text)
        if parts.scheme and parts.netloc:
            places.setdefault(f"{parts.scheme}://{parts.netloc}/", []).append(place)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def reach(root: str) -> str | None:
        async with turns:
            try:
                await outbound.send(
                    "HEAD", root, timeout_ms=_CONNECT_MS, max_bytes=1024, truncate=True
                )
            except (OutboundFailed, OutboundRefused) as failure:
                return str(failure)
        return None

    reached = await asyncio.gather(*(reach(root) for root in places))
    for (root, of_root), failure in zip(places.items(), reached, strict=True):
        if failure is not None:
            found += [
                Finding("error", f"toolIds.{place}", f"{tools[place].name}: {root} {failure}")
                for place in of_root
            ]
    return found


def is_fine(findings: Iterable[Finding]) -> bool:
    return all(finding.severity != "error" for finding in findings)
