from __future__ import annotations

import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from chorus.talk.tools.template import fill, no_names_of, variables_of

NAMES = st.from_regex(r"\A[A-Za-z0-9_]{1,8}\Z")
VALUES = st.one_of(
    st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False), st.lists(st.integers())
)


def test_values_appear_as_a_person_would_write_them() -> None:
    filled = fill(
        "{{name}} {{ count }} {{paid}} {{price}} {{items}} {{who}}",
        {
            "name": "Zoë",
            "count": 3,
            "paid": True,
            "price": 2.5,
            "items": ["a", 1],
            "who": {"a": "ü"},
        },
    )
    assert filled.text == 'Zoë 3 true 2.5 ["a", 1] {"a": "ü"}'
    assert filled.missing == ()


def test_a_missing_variable_leaves_no_braces_and_is_named_once() -> None:
    filled = fill("Hi {{name}}, order #{{order}}.{{name}} {{nothing}}", {"nothing": None})
    assert filled.text == "Hi , order #. "
    assert filled.missing == ("name", "order", "nothing")


def test_names_are_case_sensitive() -> None:
    assert fill("{{Name}}", {"name": "x"}).missing == ("Name",)


def test_values_are_data_and_are_never_expanded_again() -> None:
    assert fill("{{a}}{{b}}", {"a": "{{b}}", "b": "{{a}}"}).text == "{{b}}{{a}}"
    # Nor can two values join into a new variable.
    assert fill("{{a}}b}}", {"a": "{{", "b": "secret"}).text == "{{b}}"


def test_what_is_no_variable_is_left_alone() -> None:
    text = '{} {{}} {{ "a": 1 }} {name} }} {{'
    assert fill(text, {"a": 1}).text == text
    assert variables_of("{{a}} {{ b }} {{a}} {c}") == ("a", "b")


def test_names_may_be_of_any_script() -> None:
    template = "{{नाम}} {{नाम}} {{имя}} {{ชื่อ}} {{اسم}} {{e\u0301t\u00e9}}"
    given = {"नाम": "आशा", "имя": "Оля", "ชื่อ": "นภา", "اسم": "ليلى", "\u00e9t\u00e9": "x"}
    assert fill(template, given).text == "आशा आशा Оля นภา ليلى x"


def test_what_cannot_be_a_name_is_told_and_never_spoken_with_braces() -> None:
    template = "Hello {{customer.name}} {{first-name}} {{a b}} {{#if x}}!"
    filled = fill(template, {"customer": 1})
    assert filled.text == "Hello    !"
    assert filled.missing == ("customer.name", "first-name", "a b", "#if x")
    assert no_names_of(template) == filled.missing
    assert variables_of(template) == ()


def test_escape_is_applied_to_values_only() -> None:
    filled = fill("/a b/{{x}}", {"x": "../c?d#e"}, lambda v: quote(v, safe=""))
    assert filled.text == "/a b/..%2Fc%3Fd%23e"


@given(st.lists(st.one_of(NAMES.map(lambda n: ("var", n)), st.text().map(lambda t: ("text", t)))))
def test_literal_text_survives_and_every_variable_is_filled_or_named(
    parts: list[tuple[str, str]],
) -> None:
    # Text that brings braces of its own would build other templates than the one intended.
    clean = [(k, v.replace("{", "(").replace("}", ")") if k == "text" else v) for k, v in parts]
    template = "".join("{{" + v + "}}" if k == "var" else v for k, v in clean)
    names = [v for k, v in clean if k == "var"]
    known = {n: f"<{n}>" for n in names[::2]}
    filled = fill(template, known)
    assert filled.text == "".join(v if k == "text" else known.get(v, "") for k, v in clean)
    assert filled.missing == tuple(dict.fromkeys(n for n in names if n not in known))


@given(VALUES)
def test_any_value_is_put_in_whole(value: object) -> None:
    text = fill("[{{v}}]", {"v": value}).text[1:-1]
    assert text == value if isinstance(value, str) else json.loads(text) == value
