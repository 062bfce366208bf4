import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.servers.servers import Servers
from tests.coffee_shop import CoffeeShop


@pytest.fixture
def shop(servers: Servers, tmp_path: Path) -> Iterator[CoffeeShop]:
    with CoffeeShop(servers, tmp_path, {"PATH": f"{Path(sys.executable).parent}"}) as shop:
        yield shop
