"""The files of `deploy/` say what this version understands, and give calls the time they need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.routing import WebSocketRoute

from chorus.app import create_app
from chorus.calls.supervise import PATH as SUPERVISE
from chorus.lines.browser.carrier import MEDIA_PATH as BROWSER
from chorus.lines.jambonz.links import MEDIA_PATH as JAMBONZ
from chorus.lines.telnyx.links import MEDIA_PATH as TELNYX
from chorus.lines.twilio.links import MEDIA_PATH as TWILIO
from chorus.lines.voximplant.media import MEDIA_PATH as VOXIMPLANT
from chorus.settings import VARIABLES, Settings

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
MEDIA = {BROWSER, JAMBONZ, SUPERVISE, TELNYX, TWILIO, VOXIMPLANT}
# Of compose's own: from it the public URL is made.
NOT_OURS = {"CHORUS_DOMAIN"}
POD_IP = "10.1.2.3"
GIVEN = {
    "CHORUS_DATABASE_URL": "postgresql://chorus@postgres/chorus",
    "CHORUS_SECRET_KEY": "k" * 40,
    "CHORUS_BOOTSTRAP_API_KEY": "sk_live_" + "k" * 40,
    "CHORUS_PUBLIC_URL": "https://chorus.example.com",
    "CHORUS_STORAGE_URL": "s3://recordings",
}


def compose() -> dict[str, dict[str, Any]]:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return {name: each for name, each in services.items() if each["image"] == "chorus"}


def kubernetes(kind: str) -> list[dict[str, Any]]:
    items = yaml.safe_load((DEPLOY / "kubernetes" / "chorus.yaml").read_text())["items"]
    return [item for item in items if item["kind"] == kind]


def variables(pod: dict[str, Any]) -> dict[str, str]:
    """As the cluster fills them in."""
    given = pod["containers"][0]["env"]
    return {
        each["name"]: each["value"].replace("$(POD_IP)", POD_IP)
        for each in given
        if "value" in each
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_is_known(path: Path):
    named = set(re.findall(r"CHORUS_[A-Z_]*[A-Z]", path.read_text()))
    assert named - NOT_OURS <= {variable.name for variable in VARIABLES}


def test_compose_gives_calls_their_time():
    roles: set[str] = set()
    for name, service in compose().items():
        settings = Settings.read({**service["environment"], **GIVEN})
        assert settings.unknown == ()
        if name != "migrate":
            roles.update(settings.roles)
        patience = int(service["stop_grace_period"].removesuffix("s"))
        assert patience > settings.stop_notice_s + settings.drain_s + 10
    assert roles == {"api", "media", "work"}


def test_kubernetes_gives_calls_their_time():
    [common] = kubernetes("ConfigMap")
    roles: set[str] = set()
    for item in kubernetes("Deployment") + kubernetes("StatefulSet"):
        pod = item["spec"]["template"]["spec"]
        own = variables(pod)
        settings = Settings.read({**common["data"], **own, **GIVEN})
        roles.update(settings.roles)
        patience = pod["terminationGracePeriodSeconds"]
        assert patience > settings.stop_notice_s + settings.drain_s + 10
    assert roles == {"api", "media", "work"}


def matches(path: str, pattern: str) -> bool:
    """As Caddy's matcher of paths does: the whole of it, but for a `*` at the end."""
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return path == pattern


def test_whoever_holds_calls_is_reached_by_its_siblings():
    """Each at an address of its own, to which a name or the cluster leads."""
    addresses: list[str] = []
    for name, service in compose().items():
        settings = Settings.read({**service["environment"], **GIVEN})
        if name == "migrate" or "media" not in settings.roles:
            assert settings.peer_address is None
            continue
        assert settings.peer_address is not None
        assert settings.peer_address.host == name
        assert "ports" not in service, "the port is for the network of compose alone"
        addresses.append(name)
    assert len(addresses) == len(set(addresses)) == 2
    [media] = kubernetes("StatefulSet")
    pod = media["spec"]["template"]["spec"]
    assert variables(pod)["CHORUS_PEER_ADDRESS"] == f"{POD_IP}:8700"
    ports = {each["name"]: each["containerPort"] for each in pod["containers"][0]["ports"]}
    assert ports["peers"] == 8700
    [policy] = kubernetes("NetworkPolicy")
    labels = media["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"] == labels
    [open_, closed] = policy["spec"]["ingress"]
    assert [each["port"] for each in open_["ports"]] == ["http"]
    assert [each["port"] for each in closed["ports"]] == ["peers"]
    assert closed["from"] == [{"podSelector": {"matchLabels": labels}}]


def test_the_audio_of_every_call_goes_where_calls_are_held(tmp_path: Path):
    settings = Settings.read(
        {
            "CHORUS_DATABASE_URL": f"sqlite:///{tmp_path / 'chorus.db'}",
            "CHORUS_DATA_DIR": str(tmp_path),
        }
    )
    routes = [r.path for r in create_app(settings).routes if isinstance(r, WebSocketRoute)]
    sockets = [re.sub(r"\{\w+\}", "x", route) for route in routes]
    assert {path.removesuffix("/x/x") for path in sockets} == MEDIA

    [ingress] = kubernetes("Ingress")
    paths = ingress["spec"]["rules"][0]["http"]["paths"]
    media = [p for p in paths if p["backend"]["service"]["name"] == "chorus-media"]
    assert {p["pathType"] for p in media} == {"Prefix"}
    assert {p["path"] for p in media} == MEDIA
    [line] = re.findall(r"@media path (.*)", (DEPLOY / "Caddyfile").read_text())
    unmatched = [s for s in sockets if not any(matches(s, each) for each in line.split())]
    assert not unmatched
    assert {each.removesuffix("/*") for each in line.split()} == MEDIA
