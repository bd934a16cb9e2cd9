"""`chorus demo`: telephone calls from end to end on this machine, and whether they worked.

In order: what the demo needs is looked for; the people's lines are recited by the offline voice;
carrier, shop and platform are started as processes of their own; the agents are made through
the API; Anna calls and is called, and is handed to a person; the record is shown; everything is
checked. Whatever happens, no process is left; the temporary folder stays, for its recordings.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import time
import wave
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import httpx

from chorus.demo.carrier.client import CarrierClient
from chorus.demo.carrier.client import running as carrier_running
from chorus.demo.checks import Check, check, check_network, check_order
from chorus.demo.handover import (
    HANDED,
    LINES,
    RULE,
    TAKEN,
    TARGET,
    TOM_NUMBER,
    Handover,
    check_handover,
    hand_over,
)
from chorus.demo.network import Strangers
from chorus.demo.orders import running as shop_running
from chorus.demo.perform import Performance, Stage, perform
from chorus.demo.platform import DemoFailed, Platform, platform
from chorus.demo.show import LiveCall, Show
from chorus.demo.sound import Recorded, read_recording
from chorus.demo.story import (
    AGENT_SPEED,
    AGENT_VOICE,
    ANNA_NUMBER,
    INBOUND,
    ORDER,
    OUTBOUND,
    SHOP_NUMBER,
    Story,
)
from chorus.demo.voices import Cast, cast_of, missing, recite
from chorus.demo.ways import Way, way_of
from chorus.extras import how_to_install
from chorus.settings import Settings
from chorus.speech.engines import EngineFailed

STORIES = (INBOUND, OUTBOUND)
LIMIT_S = 200.0
FALLBACK_SILENCE_MS = 1500
LOG_LINES = 30


def demo(*, as_json: bool, line: str = "twilio", stories: tuple[Story, ...] = STORIES) -> int:
    """Run it; returns the exit status. `line` is what carries the calls: `twilio` or `sip`.
    With `as_json` the last line of standard output is one JSON object, and the show goes to
    standard error."""
    show = Show(sys.stderr if as_json else sys.stdout)
    # It warns of children that were reaped while it was cancelled; here that is Ctrl-C.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    result = _Result()
    try:
        asyncio.run(_until_told(_play(show, result, way_of(line), stories), result))
    except KeyboardInterrupt:
        show.line("\nStopped.", "red")
        return 130
    if as_json:
        print(json.dumps(result.as_json()), flush=True)
    return 0 if result.ok else 1


class _Result:
    """What came of it. `broken`: why the demo could not be played to its end."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.checks: list[Check] = []
        self.broken = ""
        self.told_to_stop = False

    @property
    def ok(self) -> bool:
        return not self.broken and bool(self.checks) and all(c.passed for c in self.checks)

    def as_json(self) -> dict[str, Any]:
        """`failures` only where there are some."""
        told: dict[str, Any] = {"calls": self.calls, "ok": self.ok}
        failures = [
            {"check": c.name, "expected": c.expected, "got": c.got}
            for c in self.checks
            if not c.passed
        ]
        if self.broken:
            failures.append({"check": "it was played to its end", "got": self.broken})
        return told | ({"failures": failures} if failures else {})


async def _until_told(playing: Any, result: _Result) -> None:
    """A polite kill is as good as Ctrl-C: everything is taken down."""
    task = asyncio.current_task()
    assert task is not None

    def stop() -> None:
        result.told_to_stop = True
        task.cancel()

    with suppress(NotImplementedError):  # on Windows there is Ctrl-C alone
        for told in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(told, stop)
    try:
        await playing
    except asyncio.CancelledError:
        # As asyncio does for Ctrl-C.
        raise KeyboardInterrupt from None


async def _play(show: Show, result: _Result, way: Way, stories: tuple[Story, ...]) -> None:
    begun_s = time.monotonic()
    folder: list[Path] = []
    try:
        async with asyncio.timeout(LIMIT_S):
            await _calls(show, result, folder, way, stories)
    except* (DemoFailed, EngineFailed, httpx.HTTPError, OSError, RuntimeError) as failed:
        result.broken = "; ".join(_causes(failed))
    if result.told_to_stop:
        # Ctrl-C reaches the platform too, which may be gone before this task is: then the group
        # tells of lost connections, and not that it was told to stop.
        raise asyncio.CancelledError
    if result.broken:
        show.line()
        show.line(f"The demo could not be played: {result.broken}", "red")
    else:
        show.verdict(result.checks, time.monotonic() - begun_s)
    if not result.ok:
        for path in folder:
            _show_log(show, path / "server.log")
        return
    show.title("Where to go next")
    show.line("  make run                 the platform itself, with its API under /v1")
    show.line("  .venv/bin/chorus doctor  what works on this machine, and what is missing")
    show.line("  docs/demo.md             how to read what you have just seen")
    show.line("  docs/script-model.md     the language of the two agents")
    show.line(f"  {folder[0]}   the recordings and the log; delete it when you like")


async def _calls(
    show: Show, result: _Result, folder: list[Path], way: Way, stories: tuple[Story, ...]
) -> None:
    cast = cast_of(_models())
    if absent := missing(cast):
        raise DemoFailed(f"{' and '.join(absent)} not installed; run: {how_to_install('local')}")
    several = "Three telephone calls" if stories == STORIES else "A telephone call"
    show.line(f"{several} on this machine: no account, no key, no internet.", "bold")
    show.line("Starting the carrier, the shop and the platform…", "dim")
    folder.append(Path(tempfile.mkdtemp(prefix="chorus-demo-")))
    # Half of them, such as Whisper for what espeak-ng says, would not understand each other.
    models = cast.models if cast.piper else folder[0] / "models"
    strangers = Strangers()
    async with AsyncExitStack() as stack:
        # All is begun side by side; on failure the stack takes down what had begun. The platform,
        # which takes longest, is told where the carrier will be before it is there.
        with socket.create_server(("127.0.0.1", 0)) as listening:
            async with asyncio.TaskGroup() as group:
                carrier_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
                serving = group.create_task(
                    stack.enter_async_context(
                        platform(folder[0], models=models, carrier=way.variables(carrier_url))
                    )
                )
                carrying = group.create_task(
                    stack.enter_async_context(carrier_running(listening, way.sip))
                )
                shop = group.create_task(stack.enter_async_context(shop_running()))
                reciting = group.create_task(
                    recite([*(line.text for s in stories for line in s.lines), *LINES], cast)
                )
        recited, shop_url, server = reciting.result(), shop.result(), serving.result()
        carrier = carrying.result()
        await stack.enter_async_context(_beside(strangers.run()))
        show.line(f"  carrier   {carrier.url}   in the place of {way.stands_for}")
        show.line(f"  shop      {shop_url}   which the agents' tools ask")
        show.line(f"  platform  {server.url}   chorus serve, in {server.folder}")
        show.line(f"  hears     {cast.ears}")
        show.line(f"  speaks    {cast.voice}")
        if not cast.piper:
            show.line("            With `chorus models pull` both are those of a real call.", "dim")
        stage = await _set_up(server, carrier, shop_url, recited, cast, way)
        performances = [await _perform(show, stage, story) for story in stories]
        handover = await _hand_over(show, stage) if stories == STORIES else None
        calls = [performance.call for performance in performances]
        if handover is not None:
            calls += [handover.first, handover.second]
        recordings = [await _recording(server, call) for call in calls]
        async with httpx.AsyncClient() as http:
            order = (await http.get(f"{shop_url}/orders/{ORDER}")).json()
    for call, recorded in zip(calls, recordings, strict=True):
        path = str(recorded.path) if recorded else None
        result.calls.append(call | {"recordingPath": path})
    for performance, recorded in zip(performances, recordings, strict=False):
        show.record(performance.story, performance.call, performance.figures, recorded)
        result.checks += check(performance, recorded)
    if handover is not None:
        for story, call, recorded in zip((HANDED, TAKEN), calls[-2:], recordings[-2:], strict=True):
            show.record(story, call, {}, recorded)
        result.checks += check_handover(handover, recordings[-2:])
        result.checks.append(check_order(order))
    if strangers.looks:
        result.checks.append(check_network(strangers.found))


async def _set_up(
    server: Platform,
    carrier: CarrierClient,
    shop_url: str,
    recited: dict[str, bytes],
    cast: Cast,
    way: Way,
) -> Stage:
    """Everything that a customer would make in the API, and the number at the carrier."""
    number = {"name": "number", "type": "string", "description": "The order", "required": True}
    order_url = f"{shop_url}/orders/{{number}}"
    tools = [
        await _tool(server, "order", "Looks up an order", "GET", order_url, [number]),
        *[
            await _tool(server, name, about, "POST", f"{order_url}/{path}", [number, parameter])
            for name, about, path, parameter in (
                ("move_delivery", "Moves a delivery", "delivery", _parameter("day", "The new day")),
                ("leave_at", "Notes where to leave it", "place", _parameter("place", "Where")),
            )
        ],
    ]
    models = (await server.get("/slm-models", limit=100))["data"]
    voices = (await server.get("/voices", limit=100))["data"]
    model = next((m for m in models if m["provider"] == "chorus"), None)
    voice = next((v for v in voices if _is_agents(v, cast)), None)
    if model is None or voice is None:
        raise DemoFailed(f"the platform has no script model or no voice for {AGENT_VOICE}")
    agents: dict[str, str] = {}
    for story in STORIES:
        agent = await server.create(
            "/agents",
            name=story.title,
            systemPrompt=prompt_of(story),
            slmModelId=model["id"],
            voiceId=voice["id"],
            voiceSpeed=1.0 if cast.piper else AGENT_SPEED,
            # A busy machine's end-of-turn model may be too late; then silence decides, sooner
            # than it would have to for people who think while they speak.
            fallbackSilenceMs=FALLBACK_SILENCE_MS,
            firstSpeaker="agent",
            agentGreeting=story.greeting,
            agentGreetingEnabled=story.greeting is not None,
            toolIds=tools,
            transferTargets=[TARGET] if story is INBOUND else [],
        )
        agents[story.direction] = agent["id"]
    number_id = await way.connect(server, carrier, agents["inbound"])
    return Stage(server, carrier, agents, number_id, recited)


def prompt_of(story: Story) -> str:
    """With what the one who answers the telephone does when Anna asks for a person."""
    return (
        story.prompt.replace("otherwise:", f"{RULE}otherwise:")
        if story is INBOUND
        else story.prompt
    )


def _models() -> Path:
    return Settings.read(os.environ).models_dir.absolute()


def _is_agents(voice: dict[str, Any], cast: Cast) -> bool:
    if cast.piper is None:
        return voice["provider"] == "espeak" and voice["language"] == AGENT_VOICE
    return voice["slug"] == f"piper-{cast.piper}".lower()


def _parameter(name: str, about: str) -> dict[str, Any]:
    return {"name": name, "type": "string", "description": about, "required": True}


async def _tool(
    server: Platform, name: str, about: str, method: str, url: str, body: list[dict[str, Any]]
) -> str:
    config = {"url": url, "method": method, "body": body}
    tool = await server.create("/tools", name=name, description=about, type="http", config=config)
    return tool["id"]


async def _perform(show: Show, stage: Stage, story: Story) -> Performance:
    ways = {"inbound": (ANNA_NUMBER, SHOP_NUMBER), "outbound": (SHOP_NUMBER, ANNA_NUMBER)}
    from_, to = ways[story.direction]
    show.title(f"{story.title} ({story.direction}, {from_} → {to})")

    live = LiveCall(show)
    return await perform(stage, story, live.event, live.person)


async def _hand_over(show: Show, stage: Stage) -> Handover:
    show.title(f"{HANDED.title} (inbound, {ANNA_NUMBER} → {SHOP_NUMBER} → {TOM_NUMBER})")
    live, tom = LiveCall(show), LiveCall(show, "Tom", clock=False)
    return await hand_over(stage, live.event, tom.event, tom.person)


async def _recording(server: Platform, call: dict[str, Any]) -> Recorded | None:
    """The file on disk, if the API serves the same."""
    found = sorted((server.folder / "data").rglob(f"{call['id']}*.wav"))
    if not found or not call["recordingUrl"]:
        return None
    served = await server.fetch(call["recordingUrl"])
    try:
        recorded = read_recording(found[0])
    except (OSError, EOFError, wave.Error):
        return None
    return recorded if served == found[0].read_bytes() else None


@asynccontextmanager
async def _beside(work: Any) -> AsyncGenerator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _causes(failed: BaseExceptionGroup[Exception]) -> list[str]:
    causes: list[str] = []
    for each in failed.exceptions:
        if isinstance(each, ExceptionGroup):
            causes += _causes(cast("ExceptionGroup[Exception]", each))
        else:
            causes.append(str(each) or type(each).__name__)
    return causes


def _show_log(show: Show, path: Path) -> None:
    lines = path.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
    show.line()
    show.line(f"The end of the server's log, {path}:", "dim")
    for line in lines:
        show.line(f"  {line}")
