"""Make an agent and a number, plan a call, look at it, and cancel it.

python example.py http://127.0.0.1:8000 sk_live_…
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta

from chorus_client import AuthenticatedClient
from chorus_client.api.agents import create_agent, list_agents
from chorus_client.api.calls import cancel_call, create_call, get_call
from chorus_client.api.phone_numbers import create_phone_number
from chorus_client.models import (
    AgentCreate,
    AgentList,
    AgentResponse,
    CallCreate,
    CallCreateContextVariables,
    CallResponse,
    Failure,
    PhoneNumberCreate,
    PhoneNumberResponse,
)


def main(url: str, key: str) -> None:
    with AuthenticatedClient(base_url=url, token=key, timeout=30) as client:
        wish = AgentCreate(name="Front desk", system_prompt="Be brief.", voice_speed=1.1)
        made = create_agent.sync(client=client, body=wish)
        assert isinstance(made, AgentResponse), made
        agent = made.data

        number = create_phone_number.sync(
            client=client,
            body=PhoneNumberCreate(
                number="+14155550102",
                provider="twilio",
                agent_id=agent.id,
                twilio_account_sid="AC00000000000000000000000000000000",
                twilio_auth_token="the-auth-token-of-that-account",  # noqa: S106  an example
            ),
        )
        assert isinstance(number, PhoneNumberResponse), number

        tomorrow = datetime.now(UTC) + timedelta(days=1)
        planned = create_call.sync(
            client=client,
            idempotency_key=f"example-{tomorrow:%Y%m%dT%H%M%S.%f}",
            body=CallCreate(
                agent_id=agent.id,
                phone_number_id=number.data.id,
                to="+14155550199",
                context_variables=CallCreateContextVariables.from_dict({"practice": "Dr. Lind"}),
                scheduled_at=tomorrow,
            ),
        )
        assert isinstance(planned, CallResponse), planned

        call = get_call.sync(planned.data.id, client=client)
        assert isinstance(call, CallResponse), call
        agents = list_agents.sync(client=client, limit=10)
        assert isinstance(agents, AgentList), agents
        cancelled = cancel_call.sync(planned.data.id, client=client)
        assert isinstance(cancelled, CallResponse), cancelled

        refused = create_agent.sync_detailed(client=client, body=AgentCreate(name=""))
        assert isinstance(refused.parsed, Failure), refused
        problem = refused.parsed.details[0] if refused.parsed.details else None

    print(
        json.dumps(
            {
                "agent": agent.voice_speed,
                "call": call.data.status if call.data.id == planned.data.id else "another",
                "customer": call.data.customer_number,
                "agents": agents.pagination.total,
                "ended": cancelled.data.status,
                "refusal": f"{refused.status_code:d} {problem.field if problem else ''}",
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:3])
