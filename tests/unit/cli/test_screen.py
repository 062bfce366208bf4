"""What commands print of other people's text."""

import json

from hypothesis import given
from hypothesis import strategies as st

from warren.cli.screen import json_line, safe_markup


@given(st.dictionaries(st.text(), st.text(alphabet=st.characters())))
def test_json_is_one_printable_line_that_says_the_same(document: dict[str, str]) -> None:
    line = json_line(document)
    assert line.isprintable()
    assert json.loads(line) == document


def test_markup_of_strangers_is_text() -> None:
    assert safe_markup("[red]x\x1b") == r"\[red]x\x1b"
