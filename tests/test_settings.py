"""Settings: read once, checked, and documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chorus.settings import Settings, SettingsError, describe
from chorus.settings_peers import PeerAddress

DOCUMENT = Path(__file__).parent.parent / "docs" / "configuration.md"


def test_defaults():
    settings = Settings.read({})
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.url == "http://127.0.0.1:8000"
    assert settings.is_sqlite
    assert settings.sqlite_path == Path("data/chorus.db").absolute()
    assert settings.rate_limit_per_minute == 100


def test_roles():
    postgres = {"CHORUS_DATABASE_URL": "postgresql://u:p@h/d"}
    assert Settings.read(postgres).roles == ("api", "media", "work")
    assert Settings.read({**postgres, "CHORUS_ROLE": "Work, api"}).roles == ("api", "work")
    assert Settings.read({"CHORUS_ROLE": "work,media,api"}).roles == ("api", "media", "work")
    assert Settings.read({"CHORUS_ROLE": "all"}).roles == ("api", "media", "work")


@pytest.mark.parametrize(
    ("given", "host"),
    [("10.0.0.1:8700", "10.0.0.1"), ("[fd00::1]:8700", "fd00::1"), ("media1:8700", "media1")],
)
def test_where_other_machines_reach_this_one(given: str, host: str):
    environ = {"CHORUS_DATABASE_URL": "postgresql://h/d", "CHORUS_PEER_ADDRESS": given}
    with pytest.raises(SettingsError, match="needs CHORUS_SECRET_KEY, the same on all machines"):
        Settings.read(environ)
    address = Settings.read({**environ, "CHORUS_SECRET_KEY": "k" * 40}).peer_address
    assert address == (host, 8700)
    assert str(address) == given
    assert PeerAddress.stored(given) == address


def test_another_programs_key_is_seen_and_not_used():
    settings = Settings.read({"OPENAI_API_KEY": "sk-hush"})
    assert settings.has_foreign_openai_key
    assert not settings.openai_usable
    assert "hush" not in repr(settings)
    assert not Settings.read({"CHORUS_OPENAI_API_KEY": "sk-x"}).has_foreign_openai_key


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CHORUS_PORT", "eighty", "whole number from 0 to 65535"),
        ("CHORUS_PORT", "70000", "whole number from 0 to 65535"),
        ("CHORUS_PORT", "1_0", "whole number"),
        ("CHORUS_PUBLIC_URL", "chorus.example.com", "http:// or https://"),
        ("CHORUS_PUBLIC_URL", "https://a.example?x=1", "no query"),
        ("CHORUS_PUBLIC_URL", "https://u:p@a.example", "user name"),
        ("CHORUS_PUBLIC_URL", "http://[::1", "is not a URL"),
        ("CHORUS_PUBLIC_URL", "http://u:hush@a:x", "user name"),
        ("CHORUS_PUBLIC_URL", "ftp://u:hush@a", "user name"),
        ("CHORUS_PUBLIC_URL", "http://a:hush", "port"),
        ("CHORUS_PUBLIC_URL", "http://a b", "without spaces"),
        ("CHORUS_PUBLIC_URL", "https://münchen.example", "xn--"),
        ("CHORUS_TWILIO_API_URL", "api.twilio.com", "http:// or https://"),
        ("CHORUS_HOST", "a" * 300, "IP address or a host name"),
        ("CHORUS_HOST", "http://127.0.0.1", "IP address or a host name"),
        ("CHORUS_DATA_DIR", "~nobody-of-that-name/x", "home of a user"),
        ("CHORUS_STORAGE_URL", "s3://[", "is not a URL"),
        ("CHORUS_STORAGE_URL", "https://bucket", "file:///folder or s3://"),
        ("CHORUS_OPENAI_API_KEY", "hush hush", "spaces"),
        ("CHORUS_OPENAI_API_KEY", "hush\u00fc", "ASCII"),
        ("CHORUS_OPENAI_MODELS", " , ", "at least one"),
        ("CHORUS_DATABASE_URL", "postgresql://u:hush@h:port/d", "not a database URL"),
        ("CHORUS_DATABASE_URL", "mysql://u:hush@h/d", "sqlite:// or postgresql://"),
        ("CHORUS_DATABASE_URL", "hush", "not a database URL"),
        ("CHORUS_DATABASE_URL", "sqlite://", "in memory"),
        ("CHORUS_SECRET_KEY", "hush", "at least 32 characters"),
        ("CHORUS_BOOTSTRAP_API_KEY", "hush", "sk_live_"),
        ("CHORUS_LOG_FORMAT", "xml", "one of text, json"),
        ("CHORUS_LOG_LEVEL", "loud", "one of debug"),
        ("CHORUS_SIMULATED", "maybe", "1 or 0"),
        ("CHORUS_RATE_LIMIT_PER_MINUTE", "0", "from 1"),
        ("CHORUS_CORS_ORIGINS", "https://a.example/path", "origins"),
        ("CHORUS_TRUSTED_PROXIES", "proxy", "IP addresses"),
        ("CHORUS_ROLE", "api,web", "some of api, media and work"),
        ("CHORUS_ROLE", "api", "on SQLite one process does everything"),
        ("CHORUS_ROLE", "media,work", "PostgreSQL"),
        ("CHORUS_MEDIA_URL", "wss://a.example", "http:// or https://"),
        ("CHORUS_PEER_ADDRESS", "10.0.0.1", "host and a port"),
        ("CHORUS_PEER_ADDRESS", "10.0.0.1:0", "up to 65280"),
        ("CHORUS_PEER_ADDRESS", "10.0.0.1:65281", "up to 65280"),
        ("CHORUS_PEER_ADDRESS", "::1:8700", "host and a port"),
        ("CHORUS_PEER_ADDRESS", "a..b:8700", "host and a port"),
        ("CHORUS_PEER_ADDRESS", "10.0.0.1:8700", "on SQLite there is one machine"),
        ("CHORUS_PEER_LISTEN", "0.0.0.0", "without CHORUS_PEER_ADDRESS"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_the_name(name: str, value: str, says: str):
    with pytest.raises(SettingsError) as caught:
        Settings.read({name: value})
    [problem] = caught.value.problems
    assert problem.startswith(f"{name} ")
    assert says in problem
    assert "hush" not in problem


def test_all_wrong_values_at_once():
    with pytest.raises(SettingsError) as caught:
        Settings.read({"CHORUS_PORT": "x", "CHORUS_LOG_LEVEL": "y"})
    assert len(caught.value.problems) == 2


def test_an_unknown_variable_is_named():
    settings = Settings.read({"CHORUS_PROT": "1", "CHORUS_ZZZ": "1", "OTHER": "1"})
    assert settings.warnings() == [
        "CHORUS_PROT is set, but Chorus knows no such variable. Did you mean CHORUS_PORT?",
        "CHORUS_ZZZ is set, but Chorus knows no such variable.",
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"CHORUS_AZURE_SPEECH_API_KEY": "k"},
            ["CHORUS_AZURE_SPEECH_API_KEY is not used without CHORUS_AZURE_SPEECH_BASE_URL."],
        ),
        (
            {"CHORUS_AZURE_SPEECH_BASE_URL": "https://a.example"},
            ["CHORUS_AZURE_SPEECH_BASE_URL is not used without CHORUS_AZURE_SPEECH_API_KEY."],
        ),
        (
            {
                "CHORUS_AZURE_OPENAI_API_KEY": "k",
                "CHORUS_AZURE_OPENAI_BASE_URL": "https://a.example",
            },
            [
                "CHORUS_AZURE_OPENAI_API_KEY and CHORUS_AZURE_OPENAI_BASE_URL are not used without "
                "CHORUS_AZURE_OPENAI_MODELS."
            ],
        ),
        (
            {"CHORUS_AZURE_OPENAI_API_KEY": "k"},
            [
                "CHORUS_AZURE_OPENAI_API_KEY is not used without CHORUS_AZURE_OPENAI_BASE_URL and "
                "CHORUS_AZURE_OPENAI_MODELS."
            ],
        ),
        (
            {
                "CHORUS_AZURE_SPEECH_API_KEY": "k",
                "CHORUS_AZURE_SPEECH_BASE_URL": "https://a.example",
            },
            [],
        ),
    ],
)
def test_what_is_used_only_together_is_missed(given: dict[str, str], says: list[str]):
    assert Settings.read(given).warnings() == says


def test_an_empty_variable_is_not_set():
    assert Settings.read({"CHORUS_PORT": " ", "CHORUS_PUBLIC_URL": ""}) == Settings.read({})


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql://u:p@h/d?sslmode=require", "postgresql+psycopg://u:p@h/d?sslmode=require"),
        ("sqlite:////tmp/x.db", "sqlite+aiosqlite:////tmp/x.db"),
    ],
)
def test_database_urls(given: str, used: str):
    assert Settings.read({"CHORUS_DATABASE_URL": given}).database_url == used


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"CHORUS_HOST": "0.0.0.0", "CHORUS_PORT": "9"}, "http://127.0.0.1:9"),
        ({"CHORUS_HOST": "::1"}, "http://[::1]:8000"),
        ({"CHORUS_PUBLIC_URL": "https://a.example/x/"}, "https://a.example/x"),
    ],
)
def test_where_others_reach_the_server(environ: dict[str, str], url: str):
    assert Settings.read(environ).url == url


def test_secrets_are_not_in_the_representation():
    settings = Settings.read(
        {
            "CHORUS_SECRET_KEY": "hush" * 8,
            "CHORUS_BOOTSTRAP_API_KEY": "sk_live_" + "hush" * 8,
            "CHORUS_OPENAI_API_KEY": "hush",
            "CHORUS_DATABASE_URL": "postgresql://u:hush@h/d",
        }
    )
    assert "hush" not in repr(settings)


def test_the_documentation_lists_every_variable():
    rows = re.findall(
        r"^\| `((?:CHORUS|OTEL)_\w+)` \| (.*?) \| (.*?) \|$", DOCUMENT.read_text(), re.M
    )
    told = {name: (default, text) for name, default, text in rows}
    assert list(told) == [variable.name for variable in describe()]
    for variable in describe():
        default, text = told[variable.name]
        assert default == (f"`{variable.default}`" if variable.default else "")
        assert text == variable.help


def test_the_defaults_told_are_the_defaults_used():
    for variable in describe():
        told = variable.default
        if not told or "<" in told or told.startswith(("generated", "./")):
            continue
        assert Settings.read({variable.name: told}) == Settings.read({}), variable.name
