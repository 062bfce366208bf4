"""The rule files with shorter times, so that a fault raises its alert within seconds.

Only these values change, all others are those of the installation:

- `for`, the range of a selector and the two times of a subquery are divided by SCALE;
- none of them becomes shorter than five scrapes, and `for` not shorter than two;
- ages in `THRESHOLDS` are divided, too. Ages of days stay: tests move the time in the database back.
"""

import re
from pathlib import Path

from devtools.paths import CHECKOUT

RULES = CHECKOUT / "charts" / "warren" / "rules"
SCALE = 60
INTERVAL = 2.0  # seconds between two scrapes
MIN_RANGE = 5 * INTERVAL
MIN_FOR = 2 * INTERVAL
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
THRESHOLDS = {"> 20 * 60": "> 20", "_seconds:max > 60": "_seconds:max > 5", ") > 60\n": ") > 5\n"}
"""Ages in seconds: of an order, of an outbox's oldest event, of a scheduled message that is due."""

_FOR = re.compile(r"^( +for: )(\d+)([smhd])$", re.MULTILINE)
_RANGE = re.compile(r"\[(\d+)([smhd])(?::(\d+)([smhd]))?\]")


def shortened(text: str) -> str:
    """Return the text of a rule file with shorter times."""

    def duration(number: str, unit: str, shortest: float) -> str:
        return f"{round(max(int(number) * UNITS[unit] / SCALE, shortest))}s"

    def selector(match: re.Match[str]) -> str:
        step = f":{duration(match[3], match[4], MIN_RANGE)}" if match[3] else ""
        return f"[{duration(match[1], match[2], MIN_RANGE)}{step}]"

    text = _FOR.sub(lambda match: match[1] + duration(match[2], match[3], MIN_FOR), text)
    text = _RANGE.sub(selector, text)
    for long, short in THRESHOLDS.items():
        text = text.replace(long, short)
    return text


def write_shortened(folder: Path) -> list[Path]:
    """Write all rule files with shorter times into `folder`, and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {file.name: file.read_text() for file in sorted(RULES.glob("*.yaml"))}
    assert all(any(long in text for text in texts.values()) for long in THRESHOLDS), "a threshold has changed"
    for name, text in texts.items():
        (folder / name).write_text(shortened(text))
    return [folder / name for name in texts]
