from hypothesis import given
from hypothesis import strategies as st

from warren.cli.message_detail import pretty


def test_json_is_indented_text_stays_and_bytes_are_dumped() -> None:
    assert pretty(b'{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert pretty("schön".encode()) == "schön"
    assert pretty(b"\x00\x01abc").endswith("00 01 61 62 63                                   ..abc")


@given(st.binary())
def test_any_body_can_be_shown(body: bytes) -> None:
    pretty(body)
