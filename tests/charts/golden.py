"""python -m tests.charts.golden: writes golden.yaml, the chart rendered with default values."""

from pathlib import Path

from tests.charts.rendering import text

GOLDEN = Path(__file__).with_name("golden.yaml")

if __name__ == "__main__":
    GOLDEN.write_text(text("default"))
    print(f"{GOLDEN.name} written")  # noqa: T201 - a program of its own
