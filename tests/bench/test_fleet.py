"""What a fleet's bench reads from Postgres's log, and what it makes of that."""

from __future__ import annotations

import uuid
from typing import Any

from bench.fleet import keeps_up, table
from bench.fleet_log import Template, read, transactions

ORG, ONE, TWO = (str(uuid.UUID(n * 32)) for n in "123")


def log(call: str, seq: int = 1) -> str:
    return f"""@7 100.500@ LOG:  statement: BEGIN
@8 100.600@ LOG:  execute <unnamed>: SELECT 1 FROM executors WHERE id = $1
@8 100.600@ DETAIL:  Parameters: $1 = 'me'
@7 100.700@ LOG:  execute _pg3_1: INSERT INTO call_events (organization_id, call_id, seq, data)
\tVALUES ($1::UUID, $2::UUID, $3::INTEGER, $4::JSONB)
@7 100.700@ DETAIL:  Parameters: $1 = '{ORG}', $2 = '{call}', $3 = '{seq}', $4 = '{{"said": "it''s
\t{call.replace("-", "")}"}}'
@7 100.701@ LOG:  statement: COMMIT
@9 101.000@ LOG:  checkpoint starting: time
@9 102.000@ LOG:  execute <unnamed>: UPDATE calls SET sid = $1, name = $2, hash = $4 WHERE id = $3
@9 102.000@ DETAIL:  Parameters: $1 = 'CA{call.replace("-", "")}', $2 = NULL, $3 = '{call}', \
$4 = '{call.replace("-", "") * 2}'
"""


IDLE = """@8 90.000@ LOG:  execute <unnamed>: SELECT 1 FROM executors WHERE id = $1
@8 90.000@ DETAIL:  Parameters: $1 = 'me'
"""


def test_a_log_is_read_with_its_parameters_and_by_transaction() -> None:
    found = read(log(ONE))
    assert len(found) == 5
    assert found[2].values[3] == '{"said": "it\'s\n' + ONE.replace("-", "") + '"}'
    assert found[4].values[1] is None
    assert [len(each) for each in transactions(found)] == [3, 1, 1]


def test_a_call_is_asked_again_with_ids_of_its_own() -> None:
    template = Template.of(read(log(ONE)), read(log(TWO)), read(IDLE))
    assert template.statements == 4, "without what an idle server asks"
    [[_, (_, event), _], [(_, update)]] = template.fresh()
    assert event[0] == ORG, "which both calls have"
    assert event[1] not in (None, ONE)
    plain = str(event[1]).replace("-", "")
    assert plain in str(event[3])
    assert update[:3] == [f"CA{plain}", None, event[1]]
    assert update[3] is not None
    assert update[3] != ONE.replace("-", "") * 2
    assert len(update[3]) == 64
    assert template.fresh()[0][1][1][1] != event[1]


def test_events_that_come_again_have_other_numbers() -> None:
    [_, _, event, *_] = read(log(ONE))
    assert event.later(2).values[2] == "20001"
    assert event.values[2] == "1"


def run(calls: int, **other: Any) -> dict[str, Any]:
    figures = {
        "workers": 2,
        "calls": calls,
        "response_ms": {"p50": 600.0, "p95": 700.0},
        "late_pct": 0.1,
        "disconnects": 0,
        "server_cpu": 1.6,
        "cpu_per_call_pct": 2.0,
        "memory_per_call_mb": 1.1,
        "foreign_cpu": 0.1,
        "database_cpu_s": 2.0,
    }
    return figures | other


def test_the_most_calls_that_were_served_are_told_by_core() -> None:
    runs = [run(40), run(80), run(120, late_pct=3.0)]
    assert [keeps_up(each) for each in runs] == [True, True, False]
    assert "With 2 workers 80 calls at once were served, on 1.6 cores: 50 a core." in table(runs)
    assert not keeps_up(run(40, response_ms={"p50": None, "p95": None}))
    failed = table([{"workers": 4, "calls": 20, "error": "no connection\nmore"}])
    assert "no connection" in failed
    assert "With 4 workers no run kept up." in failed
