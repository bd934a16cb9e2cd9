"""What each role may do: the one table, and the one place that asks it.

`TABLE` names the least role for looking at a resource (GET) and for changing it (all else), by
the first part of the path under the version; a whole `METHOD /path` goes before its resource.
API keys stand for a role (`principal.role_of_key`) and need the scope as well. What is in no row
is refused to everybody, and a test holds every route of the application to the table.
`docs/accounts.md` shows the same table, held to it by a test.
"""

from __future__ import annotations

from dataclasses import dataclass

from chorus import errors
from chorus.accounts.principal import ROLES, Principal, Role, reaches


@dataclass(frozen=True, slots=True)
class Rule:
    """`look` and `change` are the least roles, null for nobody. `keys` says whether API keys may
    at all, `open` that nobody has to be known. `audited` is whether changes are written down.
    `any_page`: pages of other sites may ask as well, and the route itself says which."""

    what: str
    look: Role | None
    change: Role | None
    keys: bool = True
    open: bool = False
    audited: bool = True
    any_page: bool = False


TABLE: dict[str, Rule] = {
    "agents": Rule("agents", "viewer", "developer"),
    "phone-numbers": Rule("phone numbers", "viewer", "developer"),
    "tools": Rule("tools", "viewer", "developer"),
    "knowledge-bases": Rule("knowledge bases", "viewer", "developer"),
    # A call is its own record of who was called when: the audit log is of settings.
    "calls": Rule("calls", "viewer", "developer", audited=False),
    # They hold what callers said.
    "test-cases": Rule("test cases", "viewer", "developer"),
    "call-stats": Rule("sums over calls", "viewer", None),
    "webhook-endpoints": Rule("webhook endpoints", "viewer", "developer"),
    "webhook-deliveries": Rule("webhook deliveries", "viewer", "developer"),
    # Who makes one lets the public spend, and decides which pages may.
    "publishable-tokens": Rule("publishable tokens", "viewer", "admin"),
    # Looking is seeing the secret itself.
    "webhook-secret": Rule("the webhook secret", "developer", "developer"),
    # Who brings a key decides who hears the callers and what is spent.
    "provider-keys": Rule("provider keys", "developer", "admin"),
    # Changing is none: a preview is spoken, which a vendor may charge for.
    "voices": Rule("voices", "viewer", "developer", audited=False),
    "slm-models": Rule("language models", "viewer", None),
    "transcribers": Rule("transcribers", "viewer", None),
    "background-sounds": Rule("background sounds", "viewer", None),
    "balance": Rule("the balance", "viewer", "admin"),
    "ledger": Rule("the ledger", "viewer", None),
    "usage": Rule("usage", "viewer", None),
    "prices": Rule("prices", "viewer", None),
    "organization": Rule("the organization", "viewer", "admin"),
    "members": Rule("members", "viewer", "admin"),
    # Who names the provider decides who comes in as whom: never a key.
    "sso": Rule("single sign-on", "admin", "admin", keys=False),
    "api-keys": Rule("API keys", "developer", "admin"),
    "audit-log": Rule("the audit log", "admin", None),
    "sessions": Rule("their own sessions", "viewer", "viewer", keys=False),
    "password": Rule("their own password", None, "viewer", keys=False),
    "second-factor": Rule("their own second factor", "viewer", "viewer", keys=False),
    # Of nobody's concern but the member's.
    "views": Rule("their own saved views", "viewer", "viewer", keys=False, audited=False),
    "POST /sessions": Rule("logging in", None, None, open=True),
    "POST /sessions/second-factor": Rule("finishing a log-in", None, None, open=True),
    "POST /sessions/sso": Rule("signing in by an identity provider", None, None, open=True),
    "POST /sessions/sso/link": Rule("linking an identity provider", None, None, open=True),
    "POST /sso/organizations": Rule("finding an organization", None, None, open=True),
    "POST /sso/authorizations": Rule("going to an identity provider", None, None, open=True),
    "POST /invitations": Rule("accepting an invitation", None, None, open=True),
    "POST /publishable-tokens/{token}/calls": Rule(
        "calling from a page", None, None, open=True, any_page=True
    ),
    "POST /owners": Rule("becoming the first owner", None, None, open=True),
}

_CLOSED = Rule("this", None, None)

_RESOURCES = {id(rule): name for name, rule in TABLE.items()}

SCOPES_OF_RESOURCES = tuple(
    f"{name}:{verb}"
    for name, rule in TABLE.items()
    if rule.keys and not rule.open
    for verb, least in (("read", rule.look), ("write", rule.change))
    if least is not None
)
"""Such as calls:write: what a key may be given one by one."""


def find(method: str, path: str) -> Rule | None:
    """The rule of a route; `path` is the route's own, such as /agents/{id}."""
    return TABLE.get(f"{method} {path}") or TABLE.get(path.strip("/").partition("/")[0])


def permit(principal: Principal | None, method: str, rule: Rule | None) -> Principal:
    """The principal, if it may. Raises `Error` 401 without one, and 403 with a sentence that says
    what it takes."""
    if principal is None:
        raise errors.unauthorized()
    if principal.suspended:
        raise errors.Error(
            403,
            "organization_suspended",
            "This organization is suspended; ask the operator of this platform",
        )
    rule = rule or _CLOSED
    scope = "read" if method in ("GET", "HEAD") else "write"
    least = rule.look if scope == "read" else rule.change
    verb = "see" if scope == "read" else "change"
    resource = _RESOURCES.get(id(rule), "")
    if principal.kind == "key" and rule.keys and not principal.may(scope, resource):
        has = ", ".join(sorted(principal.scopes))
        raise forbidden(f"This API key may not {verb} {rule.what}: its scopes are {has}")
    if least is None:
        raise forbidden(f"Nobody may {verb} {rule.what} through the API")
    if principal.kind == "key" and not rule.keys:
        raise forbidden(f"An API key may not {verb} {rule.what}: only members have any")
    if principal.kind == "key" and f"{resource}:{scope}" in principal.scopes:
        return principal
    if not reaches(principal.role, least):
        takes = _any_of(ROLES[ROLES.index(least) :])
        if principal.kind == "key":
            raise forbidden(
                f"This API key may only see what a viewer may; to see {rule.what} takes {takes}"
            )
        who = f"{_article(principal.role)} {principal.role}"
        raise forbidden(f"{who.capitalize()} may not {verb} {rule.what}: that takes {takes}")
    return principal


def forbidden(sentence: str) -> errors.Error:
    return errors.Error(403, "forbidden", sentence)


def _any_of(roles: tuple[Role, ...]) -> str:
    *others, last = [f"{_article(role)} {role}" for role in roles]
    return f"{', '.join(others)} or {last}" if others else last


def _article(role: Role) -> str:
    return "an" if role[0] in "ao" else "a"
