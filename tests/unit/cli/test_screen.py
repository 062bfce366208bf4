"""Text of messages and requests on the terminal."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.cli.message_detail import pretty
from warren.cli.screen import TableRow, age, json_line, safe_markup, table

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@given(st.dictionaries(st.text(), st.text(alphabet=st.characters())))
def test_json_is_one_printable_line_and_decodes_to_the_document(document: dict[str, str]) -> None:
    line = json_line(document)
    assert line.isprintable()
    assert json.loads(line) == document


def test_markup_in_a_message_is_printed_as_text() -> None:
    assert safe_markup("[red]x\x1b") == r"\[red]x\x1b"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0 s"), (119, "119 s"), (120, "2 m"), (7200, "2 h"), (864_000, "10 d")]
)
def test_an_age_has_one_unit(seconds: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text
    assert age(None) == "?"


def test_a_body_is_indented_json_or_text_or_a_hex_dump() -> None:
    assert pretty(b'{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert pretty("schön".encode()) == "schön"
    assert pretty(b"\x00\x01abc").endswith("00 01 61 62 63                                   ..abc")


def test_texts_below_a_row_are_a_line_each_and_printable() -> None:
    found = table(("order",), [TableRow(("k1",), below=("40  high_value", "", "a\nb\x1b"))]).plain.splitlines()
    assert found == ["order", "k1", "    40  high_value", r"    a\nb\x1b"]


@given(st.binary())
def test_any_body_can_be_printed(body: bytes) -> None:
    pretty(body)
