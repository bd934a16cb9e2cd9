"""Every table of Chorus, in one place for whoever needs the whole schema."""

from __future__ import annotations

import chorus.accounts.tables
import chorus.agents.tables
import chorus.calls.tables
import chorus.numbers.tables
import chorus.tools.tables  # noqa: F401  imported for the tables that they define
from chorus.db import Base

metadata = Base.metadata
