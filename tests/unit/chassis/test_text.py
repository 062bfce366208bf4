"""Text from outside cannot control the terminal that it is printed on."""

from hypothesis import given
from hypothesis import strategies as st

from services.shared.chassis.log_lines import LineRenderer
from services.shared.chassis.text import printable

HOSTILE = "a\x1b[2J\x9b31m\u202eb\u2028c\u200d\x85d\re\nf\ud800"


def test_unprintable_characters_are_escaped() -> None:
    assert printable(HOSTILE) == r"a\x1b[2J\x9b31m\u202eb\u2028c\u200d\x85d\re\nf\ud800"
    assert printable("a\nb\tc\r", keep="\n\t") == "a\nb\tc\\r"
    assert printable("schöne Grüße, 日本 🐰") == "schöne Grüße, 日本 🐰"


@given(st.text(alphabet=st.characters()))
def test_the_result_is_always_printable(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text(alphabet=st.characters()))
def test_a_log_line_stays_one_line_for_any_text(text: str) -> None:
    event = {"timestamp": "2026-11-28T12:00:00.123456Z", "level": "info", "service": "probe", "event": "processed"}
    line = LineRenderer(colours=False)(None, "", event | {"event_type": text, "announced": text, "order": text})
    assert line.isprintable()
