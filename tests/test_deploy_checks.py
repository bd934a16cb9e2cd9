"""The files of `deploy/` by the programs that know their formats: nothing is said against them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.deploy_programs import program
from tests.test_deploy import DEPLOY, GIVEN


def checked(
    *command: str | Path, cwd: Path = DEPLOY, variables: dict[str, str] | None = None
) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd)} | (variables or {})
    ran = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_hadolint_has_nothing_against_the_dockerfile():
    assert checked(program("hadolint"), "Dockerfile") == ""


def test_compose_reads_its_file():
    filled = {**GIVEN, "CHORUS_DOMAIN": "chorus.example.com", "POSTGRES_PASSWORD": "p"}
    del filled["CHORUS_DATABASE_URL"], filled["CHORUS_PUBLIC_URL"]
    command = (program("docker-compose"), "--file", "compose.yaml", "config", "--format", "json")
    services = json.loads(checked(*command, variables=filled))["services"]
    assert services["media2"]["environment"]["CHORUS_ROLE"] == "media"
    assert services["api"]["environment"]["CHORUS_PUBLIC_URL"] == "https://chorus.example.com"
    # Nobody starts it with a password that everybody knows.
    del filled["POSTGRES_PASSWORD"]
    with pytest.raises(AssertionError, match="POSTGRES_PASSWORD"):
        checked(*command, variables=filled)


def test_kubernetes_knows_each_field_of_the_manifests(tmp_path: Path):
    validate = program("kubernetes-validate")
    items = yaml.safe_load((DEPLOY / "kubernetes" / "chorus.yaml").read_text())["items"]
    one_each = tmp_path / "items.yaml"  # there is no schema of a list
    one_each.write_text(yaml.safe_dump_all(items))
    said = checked(validate, "--strict", one_each)
    assert "WARN" not in said
    assert said.count("INFO") == len(items), said


def test_caddy_reads_its_file(tmp_path: Path):
    command = (program("caddy"), "validate", "--adapter", "caddyfile", "--config")
    domain = {"CHORUS_DOMAIN": "chorus.example.com"}
    said = checked(*command, DEPLOY / "Caddyfile", cwd=tmp_path, variables=domain)
    assert "Valid configuration" in said


@pytest.mark.parametrize("path", sorted((DEPLOY / "systemd").iterdir()), ids=lambda path: path.name)
def test_systemd_reads_each_unit(path: Path, tmp_path: Path):
    analyze = program("systemd-analyze")
    # Neither the program nor the user is on the machine that tests.
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", path.read_text(), flags=re.M)
    text = re.sub(r"^(User|Group)=.*$", r"\1=root", text, flags=re.M)
    unit = tmp_path / path.name.replace("@", "@media1")
    unit.write_text(text)
    assert checked(analyze, "verify", unit, cwd=tmp_path) == ""
