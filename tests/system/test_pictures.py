"""The pictures of `warren top` and `warren trace` in docs/pictures are drawn as `make pictures` draws them."""

import html
import re
from pathlib import Path

from services.registry import PROCESSES, QUEUES
from tests.pictures.commands import draw_top, draw_trace
from tests.system.shop import Shop

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


def words(file: Path) -> set[str]:
    text = re.sub(r"<style.*?</style>|<[^>]*>", " ", file.read_text(), flags=re.DOTALL)
    return set(html.unescape(text).split())


def test_the_pictures_show_what_the_commands_print(shop: Shop, tmp_path: Path) -> None:
    for folder in (tmp_path, PICTURES):
        if folder == tmp_path:
            draw_top(folder, shop.system)
            draw_trace(folder, shop.system)
        assert words(folder / "warren-top.svg") >= {*QUEUES, *PROCESSES, "breakers", "accepted"}
        assert words(folder / "warren-trace.svg") >= {"order.completed", "retried:", "COMPLETED", "waited", "█"}
