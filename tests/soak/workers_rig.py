"""The same rig with a server of two workers, of which one dies at a time, and now and then all.

`kill` kills one of them, or the parent, or all three at once; `start` waits until what the dead
held is over, notes how long that took, and goes on when there are two again. What is wrong with
that is in `problems`, `check` finds the rest at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from tests.soak.rig import Rig

OVER_WITHIN_S = 15.0
GIVEN_UP_S = 90.0
WHOLE = 0.06
"""Of the kills so many hit the parent, and as many all processes."""
TWO_WITHIN_S = 120.0

_HELD = """
SELECT id, status, call_sid IS NOT NULL FROM calls
WHERE ended_at IS NULL AND (direction = 'inbound' OR dialled_at IS NOT NULL) AND ({owners})
"""
_LOST = "SELECT id, call_sid FROM calls WHERE ended_reason = 'worker_lost'"
_HEARD = """
SELECT e.call_id, e.data ->> 'heard' FROM call_events AS e JOIN calls AS c ON c.id = e.call_id
WHERE c.ended_reason = 'worker_lost' AND e.kind = 'reply_heard' ORDER BY e.call_id, e.seq
"""


def workers(rig: Rig) -> dict[int, str]:
    """The workers that hold a lock in the data folder: process → place."""
    assert rig.server is not None
    parent = rig.server.process.pid
    found: dict[int, str] = {}
    for child in children(parent):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # Its own is the first; those of the dead it holds while it ends their calls.
            for link in sorted(Path(f"/proc/{child}/fd").iterdir(), key=lambda fd: int(fd.name)):
                with contextlib.suppress(FileNotFoundError):
                    target = Path(os.readlink(link))
                    if target.parent.name == "executors" and target.suffix == ".lock":
                        found.setdefault(child, target.stem)
    return found


def children(parent: int) -> list[int]:
    try:
        text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in text.split()]


async def until_workers(rig: Rig, gone: set[int], within_s: float = 90) -> set[int]:
    """Two that are none of these."""
    async with asyncio.timeout(within_s):
        while len(found := set(workers(rig)) - gone) < 2 or set(workers(rig)) & gone:
            await asyncio.sleep(0.2)
    return found


@dataclass
class WorkersRig(Rig):
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    of_workers: Counter[str] = field(default_factory=Counter[str])
    """What was killed: a worker's place, the parent, all."""
    held: Counter[str] = field(default_factory=Counter[str])
    """Calls that a dead worker held, by how far they were."""
    longest_s: float = 0.0
    """From a kill until the last call of the dead was over."""
    problems: list[str] = field(default_factory=list[str])
    _dead: dict[int, str] = field(default_factory=dict[int, str])
    _killed_at: float = 0.0
    _theirs: set[str] = field(default_factory=set[str])

    async def start(self) -> None:
        if self.server is not None and self.server.process.poll() is None:
            await self._others_see_to_it()
        else:
            # The workers of a parent that is gone stop by themselves, and hold the port till then.
            if self._dead:
                self._theirs |= {id for id, *_ in await self._held(self._dead.values())}
            async with asyncio.timeout(60):
                while any(_lives(pid) for pid in self._dead):
                    await asyncio.sleep(0.05)
            await super().start()
        await until_workers(self, set(self._dead), TWO_WITHIN_S)

    async def stop(self) -> None:
        if self.server is not None and self.server.process.poll() is None:
            # One of them may be starting.
            await asyncio.to_thread(self.server.stop, 60)

    async def start_and_kill(self, after_s: float) -> bool:
        """The one that comes for the dead, while it starts."""
        if (
            self.server is None
            or self.server.process.poll() is not None
            or self.dice.random() > 0.3
        ):
            return False
        await asyncio.sleep(after_s)
        found = set(children(self.server.process.pid)) - set(workers(self)) - set(self._dead)
        for child in found:
            os.kill(child, signal.SIGKILL)
        return bool(found)

    def kill(self) -> None:
        assert self.server is not None
        self._killed_at = time.monotonic()
        found = workers(self)
        kind = self.dice.random()
        if kind > 2 * WHOLE:
            victim = self.dice.choice(sorted(found))
            self._dead = {victim: found[victim]}
            self.of_workers[f"worker {found[victim]}"] += 1
            # What it holds is read while it stands still: the other comes for the calls of a dead
            # worker within milliseconds.
            os.kill(victim, signal.SIGSTOP)
            self._note_theirs()
            os.kill(victim, signal.SIGKILL)
            return
        self._dead = found
        self.of_workers["the parent" if kind > WHOLE else "all"] += 1
        super().kill()
        if kind <= WHOLE:
            for victim in found:
                os.kill(victim, signal.SIGKILL)
        self._note_theirs()

    def _note_theirs(self) -> None:
        """Holding everything up: whoever comes for the dead ends their calls."""
        assert self.database_url is not None
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute(_held_by(self._dead.values()).encode()).fetchall()
        self._theirs |= {str(id) for id, *_ in rows}

    async def _others_see_to_it(self) -> None:
        held = await self._held(self._dead.values())
        self.held.update(_stage(status, known) for _, status, known in held)
        theirs = {id for id, *_ in held}
        self._theirs |= theirs
        late = False
        while left := theirs & {id for id, *_ in await self._held(self._dead.values())}:
            lasted_s = time.monotonic() - self._killed_at
            if lasted_s > OVER_WITHIN_S and not late:
                late = True
                self.problems.append(f"after {OVER_WITHIN_S} s the dead still hold {sorted(left)}")
            if lasted_s > GIVEN_UP_S:
                break
            await asyncio.sleep(0.2)
        if theirs:
            self.longest_s = max(self.longest_s, time.monotonic() - self._killed_at)

    async def _held(self, places: Iterable[str]) -> list[tuple[str, str, bool]]:
        rows = await self.rows(_held_by(places))
        return [(str(id), status, known) for id, status, known in rows]

    async def check(self) -> list[str]:
        """At the end: nobody else's call was lost, the legs are hung up, and the transcripts hold
        what was said."""
        problems = list(self.problems)
        lost = {str(id): sid for id, sid in await self.rows(_LOST)}
        problems += [
            f"call {id} was lost with a worker that did not hold it"
            for id in lost.keys() - self._theirs
        ]
        events = self.carrier.events
        ended = {
            event["path"].rpartition("/")[2].removesuffix(".json")
            for event in events
            if event["kind"] == "api" and event["form"].get("Status") == ["completed"]
        }
        over = {event["call"] for event in events if event["kind"] == "call.over"}
        problems += [
            f"the carrier was not asked to end the leg of call {id}"
            for id, sid in lost.items()
            if sid is not None and sid not in ended
        ]
        known = {event["call"] for event in events if event["kind"] == "call.status"}
        problems += [f"leg {sid} is still up at the carrier" for sid in known - over]
        said: dict[str, list[str]] = {}
        for id, heard in await self.rows(_HEARD):
            said.setdefault(str(uuid.UUID(str(id))), []).append(heard)
        async with self.http() as http:
            for id, texts in said.items():
                call = (await http.get(f"/v1/calls/{id}")).json()["data"]
                lines = [line["content"] for line in call["transcript"] or ()]
                problems += [
                    f"the transcript of call {id} lacks {text!r}"
                    for text in texts
                    if text and text not in lines
                ]
        print(f"\n{len(lost)} lost, of {len(said)} something was heard", self)
        return problems

    def __str__(self) -> str:
        killed = ", ".join(f"{what} {n}" for what, n in sorted(self.of_workers.items()))
        held = ", ".join(f"{what} {n}" for what, n in self.held.most_common())
        return f"killed: {killed}; the dead held: {held}; over after {self.longest_s:.1f} s at most"


def _held_by(places: Iterable[str]) -> str:
    owners = " OR ".join(f"lease_owner LIKE '%-{place}'" for place in places)
    return _HELD.replace("{owners}", owners or "false")


def _stage(status: str, known: bool) -> str:
    if status == "in_progress":
        return "talks"
    return "rings" if status == "ringing" else "dialled" if known else "asked"


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
