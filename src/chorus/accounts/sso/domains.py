"""That a domain is an organization's: a TXT record in its DNS, which only who runs it can make.

It decides one thing: whose provider somebody is sent to who types an address at the log-in. The
value is a signature of organization and domain, so nothing is stored and it holds for no other.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Sequence
from typing import Any

from chorus.accounts.secrets import Secrets

PREFIX = "_chorus-sso"
TIMEOUT_S = 5.0
_PURPOSE = "sso domain"


def record_name(domain: str) -> str:
    return f"{PREFIX}.{domain}"


def record_value(secrets: Secrets, organization_id: uuid.UUID, domain: str) -> str:
    return f"chorus-sso={secrets.sign(_PURPOSE, f'{organization_id} {domain}')}"


def proves(secrets: Secrets, organization_id: uuid.UUID, domain: str, records: list[str]) -> bool:
    """Whether one of the records is the organization's. One that was made with an older secret key
    counts as well."""
    message = f"{organization_id} {domain}"
    for record in records:
        name, _, signature = record.strip().partition("=")
        if hmac.compare_digest(name.encode(), b"chorus-sso") and secrets.verify(
            _PURPOSE, message, signature
        ):
            return True
    return False


class TxtRecords:
    """Asks the system's name servers, or those given."""

    def __init__(self, nameservers: Sequence[str] = (), port: int = 53) -> None:
        self._nameservers = tuple(nameservers)
        self._port = port

    async def of(self, name: str) -> list[str]:
        """The texts of a name's TXT records; none where there are none. Raises `OSError` if no
        name server answers."""
        import dns.asyncresolver  # some 40 ms, for something done once a domain
        import dns.exception
        import dns.resolver

        resolver = dns.asyncresolver.Resolver(configure=not self._nameservers)
        if self._nameservers:
            resolver.nameservers = list(self._nameservers)
            resolver.port = self._port
        resolver.lifetime = TIMEOUT_S
        try:
            # Any: the library does not say what its records are.
            answer: Any = await resolver.resolve(name, "TXT", raise_on_no_answer=False)  # pyright: ignore[reportUnknownMemberType]
        except dns.resolver.NXDOMAIN:
            return []
        except dns.exception.DNSException as failure:
            raise OSError(f"no name server told the records of {name}") from failure
        return [
            b"".join(record.strings).decode("utf-8", "replace") for record in answer.rrset or ()
        ]
