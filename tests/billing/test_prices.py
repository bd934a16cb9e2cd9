"""The price file: what it says, and what is said of a wrong one."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.billing.office import PRICES
from tests.conftest import settings_for

from chorus.billing.charges import Item, tally
from chorus.billing.prices import PACKAGED, Meter, Price, Prices, WrongPrices
from chorus.catalogue.catalogue import Catalogue
from chorus.prepare import NotReady, prepare
from chorus.settings import Settings
from chorus.speech.vendors import VENDORS


def written(folder: Path, text: str) -> Path:
    path = folder / "prices.toml"
    path.write_text(text)
    return path


def test_the_packaged_file_prices_everything_that_a_fresh_installation_uses():
    [prices] = Prices.read(PACKAGED).lists
    catalogue = Catalogue.of(Settings(simulated=True, openai_api_key="k"))
    for model in catalogue.models:
        for meter in ("model_input", "model_output"):
            assert prices.price(meter, f"{model.engine}/{model.engine_id}") is not None
    for voice in catalogue.voices:
        assert prices.price("voice", f"{voice.engine}/{voice.engine_id}") is not None
    for local in ("pocketsphinx", "simulated"):
        assert prices.price("transcription", local) == Price(0, 60)
    assert prices.call("twilio") is not None
    assert "EXAMPLES" in PACKAGED.read_text()


# What a vendor offers and nobody knows the price of, with the reason.
UNPRICED = {
    "soniox/tts-rt-v2": "no public price of its voices was found in 2026-11",
    "faseeh/faseeh-v1-preview": "a preview without a public price in 2026-11",
    "faseeh/faseeh-mini-v1-preview": "a preview without a public price in 2026-11",
}


def test_the_packaged_file_prices_all_that_vendors_hear_and_speak_with_or_says_why_not():
    [prices] = Prices.read(PACKAGED).lists
    unpriced: set[str] = set()
    for vendor in VENDORS.values():
        offered: tuple[tuple[Meter, tuple[str, ...]], ...] = (
            ("transcription", tuple(model.id for model in vendor.hears)),
            ("voice", tuple(model.id for model in vendor.speaks)),
        )
        for meter, ids in offered:
            names = {f"{vendor.id}/{id}" for id in ids}
            unpriced |= {name for name in names if prices.price(meter, name) is None}
    assert unpriced == set(UNPRICED)


def test_every_price_of_a_vendor_names_its_page_and_its_day():
    """What costs nothing runs on this machine, or is a server of one's own."""
    [prices] = Prices.read(PACKAGED).lists
    unnamed = [
        (row.meter, row.engine)
        for row in prices.rows()
        if row.meter != "telephony"
        and row.price.micros
        and not (row.source.where and row.source.read_on)
    ]
    assert unnamed == []


def test_look_ups(tmp_path: Path):
    text = PRICES + '\n[price_list.voice."*"]\nper_million_characters = 30\n'
    [prices] = Prices.read(written(tmp_path, text)).lists
    assert prices.price("voice", "espeak") == Price(15_000_000, 1_000_000)
    assert prices.price("voice", "espeak/en-us") == Price(15_000_000, 1_000_000)
    assert prices.price("voice", "espeak+other") == Price(15_000_000, 1_000_000)
    assert prices.price("voice", "other") == Price(30_000_000, 1_000_000)
    assert prices.price("model_input", "openai/large") == Price(2_000_000, 1_000_000)
    assert prices.price("model_input", "openai/small") is None
    call = prices.call("twilio")
    assert call is not None
    assert (call.outbound.micros, call.inbound.micros, call.step_s) == (14_000, 8_500, 60)
    assert prices.call("jambonz") is None


@pytest.mark.parametrize(
    ("ms", "minutes", "seconds"),
    [(0, 0, 0), (1, 60, 1), (60_000, 60, 60), (60_001, 120, 61), (119_999, 120, 120)],
)
def test_a_started_minute_or_second_counts_as_a_whole(
    tmp_path: Path, ms: int, minutes: int, seconds: int
):
    [prices] = Prices.read(written(tmp_path, PRICES)).lists
    twilio, sip = prices.call("twilio"), prices.call("sip")
    assert twilio is not None
    assert sip is not None
    assert (twilio.billed_s(ms), sip.billed_s(ms)) == (minutes, seconds)


@given(st.integers(0, 10**9), st.integers(0, 10**12), st.sampled_from([60, 1_000_000]))
def test_an_amount_is_rounded_once_a_half_upwards(quantity: int, micros: int, per: int):
    exact = Decimal(quantity) * micros / per
    assert Price(micros, per).amount(quantity) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def test_the_list_that_was_valid_then(tmp_path: Path):
    later = PRICES.replace('"test"', '"later"').replace("2025-01-01", "2025-06-01T12:00:00Z")
    prices = Prices.read(written(tmp_path, later + PRICES))
    for moment, version in (
        (datetime(2024, 1, 1, tzinfo=UTC), "test"),
        (datetime(2025, 6, 1, 11, 59, tzinfo=UTC), "test"),
        (datetime(2025, 6, 1, 12, tzinfo=UTC), "later"),
    ):
        assert prices.at(moment).version == version


@pytest.mark.parametrize(
    ("was", "instead", "says"),
    [
        ("", "", "holds no [[price_list]]"),
        ("[[price_list]]", "[price_list", "not TOML"),
        ("[[price_list]]", "[prices]\na = 1\n[[price_list]]", "unknown key: prices"),
        ('version = "test"', "", "has no version"),
        ('version = "test"', "version = 3", "version must be a text"),
        ("2025-01-01", '"2025-01-01"', "valid_from must be a date"),
        ("characters = 500", "", "typical_minute has no characters"),
        ("characters = 500", "characters = -1", "characters must be a whole number from 0"),
        ("per_minute = 0.014", 'per_minute = "0.014"', "twilio.per_minute must be a number"),
        ("per_minute = 0.014", "per_minute = nan", "twilio.per_minute must be a number"),
        ("per_minute = 0.014", "per_minute = true", "twilio.per_minute must be a number"),
        ("per_minute = 0.014", "per_minute = -1", "from 0 to 1000000 dollars, not -1"),
        ("per_minute = 0.014", "per_minute = 0.0000001", "at most six decimals"),
        ("per_minute = 0.014", "per_hour = 1", "twilio has no per_minute"),
        ("per_minute = 0.014", "per_minute = 0.014\nsource = 7", "twilio.source must be a text"),
        ("per_minute = 0.014", 'per_minute = 0.014\nread_on = "may"', "read_on must be a date"),
        ("per_minute = 0.014", "per_minute = 0.014\nread_on = 2025", "read_on must be a date"),
        ('billed = "second"', 'billed = "hour"', "billed must be minute or second, not 'hour'"),
        ('billed = "second"', "bill = 1", "telephony.sip has an unknown key: bill"),
        ("[price_list.voice.espeak]", "[price_list.voices.espeak]", "unknown key: voices"),
        ("per_million_output_tokens = 8", "", "has no per_million_output_tokens"),
        ("[price_list.telephony.sip]", "[price_list.telephony]\nx = 1\n[price_list.a]", "a table"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, was: str, instead: str, says: str):
    assert was in PRICES
    path = written(tmp_path, PRICES.replace(was, instead, 1) if was else "")
    with pytest.raises(WrongPrices) as caught:
        Prices.read(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"The price file {path} cannot be used: ")
    assert says in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def test_two_lists_of_one_version(tmp_path: Path):
    with pytest.raises(WrongPrices, match="same version"):
        Prices.read(written(tmp_path, PRICES + PRICES))


async def test_a_server_does_not_start_with_it(tmp_path: Path):
    settings = settings_for(tmp_path, prices_file=tmp_path / "none.toml")
    with pytest.raises(NotReady, match=r"none.toml cannot be used: it cannot be read"):
        await prepare(settings)


def test_sound_has_a_price_of_its_own_and_else_that_of_text(tmp_path: Path):
    text = PRICES + (
        '\n[price_list.model."x/hears"]\n'
        "per_million_input_tokens = 2\nper_million_output_tokens = 8\n"
        '[price_list.model."x/hears:audio"]\n'
        "per_million_input_tokens = 30\nper_million_output_tokens = 0\n"
    )
    [prices] = Prices.read(written(tmp_path, text)).lists
    used = tally([{"model": "x/hears", "inputTokens": 100, "audioTokens": 40, "outputTokens": 1}])
    assert used[Item("model_input", "x/hears")] == 60
    assert used[Item("model_input", "x/hears:audio")] == 40
    sound = prices.price("model_input", "x/hears:audio")
    assert sound == Price(30_000_000, 1_000_000)
    [prices] = Prices.read(written(tmp_path, text.replace("x/hears:audio", "x/other:audio"))).lists
    assert prices.price("model_input", "x/hears:audio") == Price(2_000_000, 1_000_000)
