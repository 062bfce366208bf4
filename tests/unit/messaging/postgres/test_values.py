import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_messaging.postgres.values import text_value


@given(st.text(st.characters()))
def test_any_text_becomes_storable_and_storable_text_is_unchanged(text: str) -> None:
    stored = text_value(text)
    assert "\0" not in stored
    stored.encode()
    assert text_value(stored) == stored


@pytest.mark.parametrize(
    ("text", "stored"),
    [("a\0b", "a\ufffdb"), ("a\ud800b\udc00", "a\ufffdb\ufffd"), ("\N{SNOWMAN} \U0001f600", "\u2603 \U0001f600")],
)
def test_refused_characters_become_replacement_characters(text: str, stored: str) -> None:
    assert text_value(text) == stored
