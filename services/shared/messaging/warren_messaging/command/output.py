"""Output for other programs."""

from typing import Any

import msgspec


def print_json(document: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
