"""Settings: read once from the environment, checked, and frozen.

`VARIABLES` is the whole list; each entry knows how its text is read (`readers.py`) and what to say
about it. `Settings.read` reads them all and raises `SettingsError` with one sentence for each wrong
value. `docs/configuration.md` is held to `describe()` by a test. Nothing else in Chorus looks at
the environment. An empty variable counts as not set, because compose files produce those.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from chorus import readers
from chorus.roles import ROLE_VARIABLES, ROLES, Role, refused
from chorus.settings_peers import PEER_VARIABLES, PeerAddress
from chorus.settings_sip import SIP_VARIABLES
from chorus.settings_telemetry import TELEMETRY_VARIABLES
from chorus.settings_vendors import VENDOR_VARIABLES, incomplete
from chorus.variable import Variable

PREFIX = "CHORUS_"


class SettingsError(Exception):
    """What is wrong in the environment: one sentence for each wrong variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator decided. `database_url` always names the driver that is used."""

    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str | None = None
    data_dir: Path = Path("data")
    models_dir: Path = Path()
    models_mirror: str = "https://huggingface.co"
    database_url: str = field(default="", repr=False)
    secret_keys: tuple[str, ...] = field(default=(), repr=False)
    bootstrap_api_key: str | None = field(default=None, repr=False)
    log_format: Literal["text", "json"] = "text"
    log_level: str = "info"
    simulated: bool = False
    twilio_api_url: str = "https://api.twilio.com"
    allow_private_addresses: bool = False
    openai_api_key: str | None = field(default=None, repr=False)
    openai_base_url: str = "https://api.openai.com/v1"
    openai_models: tuple[str, ...] = ("gpt-4.1-mini", "gpt-4.1-nano", "gpt-4.1")
    openai_options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    anthropic_api_key: str | None = field(default=None, repr=False)
    google_api_key: str | None = field(default=None, repr=False)
    azure_openai_api_key: str | None = field(default=None, repr=False)
    groq_api_key: str | None = field(default=None, repr=False)
    mistral_api_key: str | None = field(default=None, repr=False)
    openrouter_api_key: str | None = field(default=None, repr=False)
    together_api_key: str | None = field(default=None, repr=False)
    deepgram_api_key: str | None = field(default=None, repr=False)
    elevenlabs_api_key: str | None = field(default=None, repr=False)
    cartesia_api_key: str | None = field(default=None, repr=False)
    assemblyai_api_key: str | None = field(default=None, repr=False)
    soniox_api_key: str | None = field(default=None, repr=False)
    azure_speech_api_key: str | None = field(default=None, repr=False)
    azure_speech_base_url: str | None = None
    google_speech_api_key: str | None = field(default=None, repr=False)
    google_speech_base_url: str | None = None
    faseeh_api_key: str | None = field(default=None, repr=False)
    hedging: Literal["off", "model", "all"] = "model"
    end_of_turn_url: str | None = None
    end_of_turn_api_key: str | None = field(default=None, repr=False)
    end_of_turn_threshold: float = 0.1
    azure_openai_base_url: str | None = None
    azure_openai_models: tuple[str, ...] = ()
    rate_limit_per_minute: int = 100
    max_concurrent_calls: int = 100
    max_scheduled_calls: int = 1000
    max_connections_per_address: int = 256
    max_request_bytes: int = 1_048_576
    max_upload_bytes: int = 10_485_760
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    drain_s: int = 30
    roles: tuple[Role, ...] = ROLES
    workers: int = 1
    media_url: str | None = None
    peer_address: PeerAddress | None = None
    peer_listen: str | None = None
    stop_notice_s: int = 0
    billing: bool = False
    prices_file: Path | None = None
    languages_dir: Path | None = None
    allow_top_up: bool = False
    storage_url: str | None = None
    s3_endpoint_url: str | None = None
    s3_region: str | None = None
    s3_access_key_id: str | None = field(default=None, repr=False)
    s3_secret_access_key: str | None = field(default=None, repr=False)
    recording_url_ttl_s: int = 86_400
    sip_listen: tuple[str, ...] = ()
    sip_public_host: str | None = None
    sip_rtp_ports: tuple[int, int] = (20000, 20999)
    sip_codecs: tuple[str, ...] = ("PCMU", "PCMA", "G722", "OPUS")
    sip_tls_cert: Path | None = None
    sip_tls_key: Path | None = None
    sip_tls_ca: Path | None = None
    metrics_token: str | None = field(default=None, repr=False)
    otel_disabled: bool = False
    otlp_endpoint: str | None = None
    otlp_traces_endpoint: str | None = None
    otlp_metrics_endpoint: str | None = None
    otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    exports_traces: bool = True
    exports_metrics: bool = True
    unknown: tuple[str, ...] = ()
    has_foreign_openai_key: bool = False

    def __post_init__(self) -> None:
        if not self.database_url:
            path = (self.data_dir / "chorus.db").absolute()
            object.__setattr__(self, "database_url", f"sqlite+aiosqlite:///{path}")
        if self.models_dir == Path():
            object.__setattr__(self, "models_dir", self.data_dir / "models")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Read `environ`, usually `os.environ`. Raises `SettingsError` naming each wrong value.

        Names that begin with CHORUS_ and are not in the list end up in `unknown`; the caller
        warns of them (`warnings`), because a typing error there is silent otherwise. That
        other programs' OPENAI_API_KEY is set is noted for `chorus doctor`, and not used.
        """
        values: dict[str, Any] = {}
        problems: list[str] = []
        for variable in VARIABLES:
            if not (raw := environ.get(variable.name, "").strip()):
                continue
            try:
                values[variable.field] = variable.read(raw)
            except readers.Wrong as wrong:
                problems.append(f"{variable.name} {wrong}.")
        if problems:
            raise SettingsError(problems)
        settings = cls(**values)
        if (why := refused(settings)) is not None:
            raise SettingsError([why])
        known = {variable.name for variable in VARIABLES}
        unknown = sorted(n for n in environ if n.startswith(PREFIX) and n not in known)
        foreign = bool(environ.get("OPENAI_API_KEY", "").strip())
        return replace(settings, unknown=tuple(unknown), has_foreign_openai_key=foreign)

    @property
    def url(self) -> str:
        """Where others reach this server, without a slash at the end."""
        if self.public_url:
            return self.public_url
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104  compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def media_base(self) -> str:
        """Where the websockets of calls' audio arrive: ws or wss, without a slash at the end."""
        return "ws" + (self.media_url or self.url).removeprefix("http")

    @property
    def otlp_traces_url(self) -> str | None:
        """Where traces are sent; None: nowhere."""
        on = self.exports_traces and not self.otel_disabled
        return (self.otlp_traces_endpoint or self._otlp("/v1/traces")) if on else None

    @property
    def otlp_metrics_url(self) -> str | None:
        """Where metrics are sent; None: nowhere."""
        on = self.exports_metrics and not self.otel_disabled
        return (self.otlp_metrics_endpoint or self._otlp("/v1/metrics")) if on else None

    def _otlp(self, path: str) -> str | None:
        return None if self.otlp_endpoint is None else f"{self.otlp_endpoint.rstrip('/')}{path}"

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def sqlite_path(self) -> Path:
        return Path(self.database_url.partition(":///")[2].partition("?")[0])

    @property
    def openai_usable(self) -> bool:
        """A key is set, or the models run somewhere that may ask for none."""
        return self.openai_api_key is not None or self.openai_base_url != _OPENAI_URL

    def warnings(self) -> list[str]:
        """What is set and has no effect, a sentence each."""
        names = [variable.name.removeprefix(PREFIX) for variable in VARIABLES]
        lines: list[str] = []
        for name in self.unknown:
            close = difflib.get_close_matches(name.removeprefix(PREFIX), names, 1)
            hint = f" Did you mean {PREFIX}{close[0]}?" if close else ""
            lines.append(f"{name} is set, but Chorus knows no such variable.{hint}")
        return [*lines, *incomplete(lambda field: bool(getattr(self, field)))]


_OPENAI_URL = "https://api.openai.com/v1"

VARIABLES: tuple[Variable, ...] = (
    Variable("CHORUS_HOST", "host", readers.host, "127.0.0.1", "Address to listen on."),
    Variable(
        "CHORUS_PORT",
        "port",
        readers.number(0, 65535),
        "8000",
        "Port to listen on; 0 takes a free one.",
    ),
    Variable(
        "CHORUS_PUBLIC_URL",
        "public_url",
        readers.url,
        "http://<host>:<port>",
        "Where carriers, webhooks' receivers and browsers reach this server. Carriers sign what "
        "they send with it, so it must be exactly the address that they were given.",
    ),
    Variable(
        "CHORUS_DATA_DIR",
        "data_dir",
        readers.path,
        "./data",
        "Folder of the SQLite database, the recordings and the generated secret key.",
    ),
    Variable(
        "CHORUS_MODELS_DIR",
        "models_dir",
        readers.path,
        "<data dir>/models",
        "Folder of the model files that `chorus models pull` fetches, and of voices of your own.",
    ),
    Variable(
        "CHORUS_MODELS_MIRROR",
        "models_mirror",
        readers.url,
        "https://huggingface.co",
        "Where `chorus models pull` fetches from instead: a mirror that has the same paths.",
    ),
    Variable(
        "CHORUS_DATABASE_URL",
        "database_url",
        readers.database_url,
        "sqlite:///<data dir>/chorus.db",
        "Database: sqlite:///path or postgresql://user:password@host/name.",
        secret=True,
    ),
    Variable(
        "CHORUS_SECRET_KEY",
        "secret_keys",
        readers.secret_keys,
        "generated into <data dir>/secret.key",
        "Key that encrypts credentials at rest, 32 characters or more. To rotate, put the new key "
        "in front of the old one, separated by a comma.",
        secret=True,
    ),
    Variable(
        "CHORUS_BOOTSTRAP_API_KEY",
        "bootstrap_api_key",
        readers.api_key,
        "generated and printed",
        "The first API key, made at the first start: sk_live_ and 32 characters or more.",
        secret=True,
    ),
    Variable(
        "CHORUS_LOG_FORMAT",
        "log_format",
        readers.choice("text", "json"),
        "text",
        "Form of a log line: text or json.",
    ),
    Variable(
        "CHORUS_LOG_LEVEL",
        "log_level",
        readers.choice("debug", "info", "warning", "error"),
        "info",
        "Least severity that is logged: debug, info, warning or error.",
    ),
    Variable(
        "CHORUS_SIMULATED",
        "simulated",
        readers.flag,
        "0",
        "1 adds simulated engines with known delays and the `loopback` carrier, by which any "
        "program that reaches the server may ring without a signature: for tests and load "
        "measurements, never on a server that strangers reach.",
    ),
    Variable(
        "CHORUS_TWILIO_API_URL",
        "twilio_api_url",
        readers.url,
        "https://api.twilio.com",
        "Base URL of the Twilio API, or of one that speaks the same.",
    ),
    Variable(
        "CHORUS_ALLOW_PRIVATE_ADDRESSES",
        "allow_private_addresses",
        readers.flag,
        "0",
        "1 lets webhooks use plain http, and tools and webhooks reach private and loopback "
        "addresses.",
    ),
    Variable(
        "CHORUS_OPENAI_API_KEY",
        "openai_api_key",
        readers.credential,
        "",
        "Key of the language models' API; one of OpenAI hears, speaks and makes vectors too.",
        secret=True,
    ),
    Variable(
        "CHORUS_OPENAI_BASE_URL",
        "openai_base_url",
        readers.url,
        _OPENAI_URL,
        "Base URL of the language models' API; any server that speaks the same will do, and a "
        "server of your own may need no key.",
    ),
    Variable(
        "CHORUS_OPENAI_MODELS",
        "openai_models",
        readers.names,
        "gpt-4.1-mini,gpt-4.1-nano,gpt-4.1",
        "Names of the models to offer, separated by commas; the first is the default.",
    ),
    Variable(
        "CHORUS_OPENAI_OPTIONS",
        "openai_options",
        readers.model_options,
        "",
        "Options of those models as a JSON object, as an agent's `modelOptions`, which goes first.",
        secret=True,
    ),
    *VENDOR_VARIABLES,
    Variable(
        "CHORUS_RATE_LIMIT_PER_MINUTE",
        "rate_limit_per_minute",
        readers.number(1, 1_000_000),
        "100",
        "Requests a minute of an API key that has no limit of its own.",
    ),
    Variable(
        "CHORUS_MAX_CONCURRENT_CALLS",
        "max_concurrent_calls",
        readers.number(1, 1_000_000),
        "100",
        "Calls at once, inbound and outbound together, of an organization that has no limit of "
        "its own.",
    ),
    Variable(
        "CHORUS_MAX_SCHEDULED_CALLS",
        "max_scheduled_calls",
        readers.number(0, 10_000_000),
        "1000",
        "Calls of an organization that wait for a later time, beyond those in line.",
    ),
    Variable(
        "CHORUS_MAX_CONNECTIONS_PER_ADDRESS",
        "max_connections_per_address",
        readers.number(1, 1_000_000),
        "256",
        "Connections that one address may have open at once, websockets aside. Trusted proxies "
        "may have more.",
    ),
    Variable(
        "CHORUS_MAX_REQUEST_BYTES",
        "max_request_bytes",
        readers.number(1024, 104_857_600),
        "1048576",
        "Largest request body in bytes.",
    ),
    Variable(
        "CHORUS_MAX_UPLOAD_BYTES",
        "max_upload_bytes",
        readers.number(1024, 26_214_400),
        "10485760",
        "Largest request body in bytes where a document is uploaded.",
    ),
    Variable(
        "CHORUS_CORS_ORIGINS",
        "cors_origins",
        readers.origins,
        "",
        "Origins whose pages may call the API from a browser, separated by commas; * is any.",
    ),
    Variable(
        "CHORUS_TRUSTED_PROXIES",
        "trusted_proxies",
        readers.addresses,
        "127.0.0.1,::1",
        "Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; * is any.",
    ),
    Variable(
        "CHORUS_DRAIN_SECONDS",
        "drain_s",
        readers.number(0, 3600),
        "30",
        "How long a server that is told to stop lets open requests and calls end.",
    ),
    *ROLE_VARIABLES,
    *PEER_VARIABLES,
    Variable(
        "CHORUS_BILLING",
        "billing",
        readers.flag,
        "0",
        "1 lets organizations pay for their calls from a prepaid balance: without money no call "
        "begins or goes on. With 0 nobody is charged; what calls cost is shown all the same.",
    ),
    Variable(
        "CHORUS_PRICES_FILE",
        "prices_file",
        readers.path,
        "",
        "TOML file of prices that replaces the packaged one, whose prices are examples.",
    ),
    Variable(
        "CHORUS_LANGUAGES_DIR",
        "languages_dir",
        readers.languages,
        "",
        "Folder of language files (such as eu.toml) that are laid over the packaged ones or added "
        "to them: what counts as a back-channel, what an agent says on its own account, how "
        "figures are read. They are checked when the server starts.",
    ),
    Variable(
        "CHORUS_ALLOW_TOP_UP",
        "allow_top_up",
        readers.flag,
        "0",
        "1 lets every API key that may write top up its organization's balance through the API. "
        "Otherwise only the operator can, on the command line.",
    ),
    Variable(
        "CHORUS_STORAGE_URL",
        "storage_url",
        readers.storage_url,
        "file://<data dir>",
        "Where recordings are kept: file:///folder, or s3://bucket/prefix for Amazon S3 and "
        "whatever speaks the same.",
    ),
    Variable(
        "CHORUS_S3_ENDPOINT_URL",
        "s3_endpoint_url",
        readers.url,
        "https://s3.<region>.amazonaws.com",
        "Address of another S3, such as MinIO. Browsers must reach it too: they are sent there "
        "to hear recordings.",
    ),
    Variable(
        "CHORUS_S3_REGION",
        "s3_region",
        readers.text,
        "<AWS_REGION>, or us-east-1",
        "The bucket's region.",
    ),
    Variable(
        "CHORUS_S3_ACCESS_KEY_ID",
        "s3_access_key_id",
        readers.credential,
        "<AWS_ACCESS_KEY_ID>, or the machine's role",
        "Who asks for the bucket.",
        secret=True,
    ),
    Variable(
        "CHORUS_S3_SECRET_ACCESS_KEY",
        "s3_secret_access_key",
        readers.credential,
        "<AWS_SECRET_ACCESS_KEY>, or the machine's role",
        "The secret that belongs to it.",
        secret=True,
    ),
    Variable(
        "CHORUS_RECORDING_URL_TTL",
        "recording_url_ttl_s",
        readers.number(60, 483_840),
        "86400",
        "For how many seconds, at least, a link to a recording or a transcript holds.",
    ),
    *SIP_VARIABLES,
    *TELEMETRY_VARIABLES,
)


def describe() -> list[Variable]:
    """Every variable, in the order in which the documentation lists them."""
    assert {v.field for v in VARIABLES} <= {f.name for f in fields(Settings)}
    return list(VARIABLES)
