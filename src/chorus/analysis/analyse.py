"""After a call: its summary and the values that its agent wants to know, once.

The call's transcript → what its agent wanted when it held the call (`wishes.py`) → its language
model → the analysis on the call, with an event that names what is missing and why, and one of what
the model used. A call in which the customer said nothing is not analysed; nor is one whose agent
wants nothing. Only the database can fail here: the model's failures are the analysis's problems, so
nobody waits for a call's news in vain.
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any

from chorus.analysis import wishes
from chorus.analysis.ask import Answer, Problem, ask
from chorus.analysis.scripted import follow
from chorus.analysis.transcript import lines_of, shown
from chorus.analysis.wishes import Wishes
from chorus.calls import analysed
from chorus.calls.analysed import Conversation
from chorus.catalogue.engines import NoEngine
from chorus.llm.script import ScriptModel
from chorus.speech.engines import EngineFailed
from chorus.talk.tools.template import fill

if TYPE_CHECKING:
    from chorus.calls.switchboard import Switchboard
    from chorus.catalogue.catalogue import Catalogue

log = logging.getLogger(__name__)

_CHARACTERS_PER_TOKEN = 2
"""Few, because not every language is as short as English."""
_MOST_CHARACTERS = 100_000
_LEAST_CHARACTERS = 2_000
_RESERVED_TOKENS = 4_000
_DEFAULT_WINDOW = 8_192


async def analyse(switchboard: Switchboard, call_id: uuid.UUID) -> None:
    """Safe to run again, and by several at once: the first result stays."""
    async with switchboard.database.reading() as session:
        call = await analysed.to_analyse(session, call_id)
        if call is None:
            return
        wanted = await wishes.of(session, call)
        catalogue = await switchboard.catalogues.of(session, call.organization_id)
    if wanted is None:
        skipped = ("analysis_skipped", {"reason": "agent_deleted"})
        async with switchboard.database.writing() as session:
            await analysed.keep(session, call_id, call.organization_id, None, [skipped])
        return
    if not wanted.fields and not wanted.summary:
        return
    name, answer = await _answer(switchboard, catalogue, call, wanted)
    for problem in answer.problems:
        log.warning("call %s: no %s: %s", call_id, problem.field, problem.reason)
    analysis = _as_data(answer)
    noted: list[tuple[str, dict[str, Any]]] = [("analysed", {"problems": analysis["problems"]})]
    if answer.input_tokens or answer.output_tokens:
        used = {
            "purpose": "analysis",
            "model": name,
            "inputTokens": answer.input_tokens,
            "outputTokens": answer.output_tokens,
        }
        noted.append(("usage", used))
    async with switchboard.database.writing() as session:
        await analysed.keep(session, call_id, call.organization_id, analysis, noted)


async def _answer(
    switchboard: Switchboard, catalogue: Catalogue, call: Conversation, wanted: Wishes
) -> tuple[str, Answer]:
    """The model's name and what it said."""
    fields, summary = wanted.fields, wanted.summary
    chosen = catalogue.model(wanted.model_id) if wanted.model_id else None
    chosen = chosen or catalogue.default_model
    try:
        model = switchboard.engines.analyst(chosen, wanted.model_options)
    except (NoEngine, EngineFailed) as failure:
        parts = ["summary"] * summary + [field.name for field in fields]
        problems = [Problem(name, str(failure)) for name in parts]
        return "", Answer(None, {field.name: None for field in fields}, problems)
    if isinstance(model, ScriptModel):
        script = fill(wanted.prompt, call.variables).text
        return model.name, follow(model, script, call.transcript, fields, summary=summary)
    window = (chosen.context_window if chosen else None) or _DEFAULT_WINDOW
    most = (window - _RESERVED_TOKENS) * _CHARACTERS_PER_TOKEN
    most = max(_LEAST_CHARACTERS, min(most, _MOST_CHARACTERS))
    text = shown(lines_of(call.transcript), most)
    return model.name, await ask(model, text, fields, summary=summary, day=call.day)


def _as_data(answer: Answer) -> dict[str, Any]:
    return {
        "summary": answer.summary,
        "extractions": answer.extractions,
        "problems": [{"field": each.field, "reason": each.reason} for each in answer.problems],
    }
