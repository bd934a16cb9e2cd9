"""`chorus doctor sip`: each SIP number's trunk asked over the network (`lines/sip/probe.py`)."""

from __future__ import annotations

import asyncio

from sqlalchemy.exc import SQLAlchemyError

from chorus.accounts.secrets import Secrets, SecretsUnreadable
from chorus.db import Database
from chorus.doctor import Finding, Findings, tell
from chorus.lines.sip.carrier import OFF
from chorus.lines.sip.config import SipConfig
from chorus.lines.sip.probe import probe
from chorus.numbers import routing
from chorus.settings import Settings


def report(settings: Settings, *, as_json: bool) -> int:
    """Print the findings; returns the exit status."""
    return tell(asyncio.run(_findings(settings)), as_json=as_json)


async def _findings(settings: Settings) -> Findings:
    findings: Findings = []
    config = SipConfig.of(settings)
    if config.listens:
        listens = ", ".join(settings.sip_listen)
        findings.append(Finding("ok", "SIP", f"listens on {listens}"))
    else:
        findings.append(Finding("note", "SIP", OFF))
    database = Database(settings)
    try:
        async with database.reading() as session:
            routes = await routing.of_provider(session, "sip", Secrets.of(settings))
    except (SQLAlchemyError, SecretsUnreadable, OSError) as failure:
        return [*findings, Finding("problem", "phone numbers", f"cannot be read: {failure}")]
    finally:
        await database.close()
    if not routes:
        findings.append(Finding("note", "phone numbers", "there is none with provider sip"))
    try:
        found = await probe(config, [route.connection for route in routes])
    except OSError as failure:
        return [*findings, Finding("problem", "SIP", f"no socket can be opened: {failure}")]
    for each in found:
        state = "ok" if each.good else "problem"
        findings.append(Finding(state, each.what, each.says, each.advice or None))
    return findings
