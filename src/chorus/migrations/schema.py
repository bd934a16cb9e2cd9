"""Every table of Chorus, in one place for whoever needs the whole schema."""

from __future__ import annotations

from chorus.accounts import tables as accounts
from chorus.accounts.sso import tables as sso
from chorus.agents import tables as agents
from chorus.billing import tables as billing
from chorus.calls import case_tables as test_cases
from chorus.calls import publishable_tables as publishable
from chorus.calls import tables as calls
from chorus.db import Base
from chorus.durable import tables as durable
from chorus.knowledge import tables as knowledge
from chorus.numbers import tables as numbers
from chorus.providers import tables as providers
from chorus.tools import tables as tools
from chorus.webhooks import tables as webhooks

TABLES = (
    *(accounts, agents, billing, calls, durable, knowledge, numbers, providers, tools),
    *(publishable, sso, test_cases, webhooks),
)

metadata = Base.metadata
