"""Customers at a small HTTP server of the test's own: nothing is counted twice, nothing that failed is hidden."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import pytest

from warren.customers import Customers


class Shop:
    """Accepts orders; every `broken`th is answered with 503."""

    def __init__(self) -> None:
        self.broken = 0
        self.names: list[str] = []
        self.url = ""

    def take(self, name: str) -> tuple[int, dict[str, str]]:
        self.names.append(name)
        if self.broken and len(self.names) % self.broken == 0:
            return 503, {"title": "away"}
        return 202, {"id": str(uuid4())}


@pytest.fixture
def shop() -> Iterator[Shop]:
    it = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            code, answer = it.take(body["orderId"])
            content = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        it.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield it
        server.shutdown()
        thread.join()


async def test_every_order_has_a_name_of_its_own_and_is_counted(shop: Shop) -> None:
    tally = await Customers(shop.url, None, 100).order(0.5)
    assert len(shop.names) == len(set(shop.names)) == len(set(tally.accepted)) > 0
    assert tally.failed.total() == 0
    assert "0 failed; answers took" in tally.text


async def test_a_failure_is_a_failure_and_no_reason_to_try_again(shop: Shop) -> None:
    shop.broken = 3
    tally = await Customers(shop.url, None, 100).order(0.5)
    assert tally.failed == {'answered 503: {"title": "away"}': len(shop.names) // 3}
    assert len(tally.accepted) == len(shop.names) - len(shop.names) // 3


async def test_where_nobody_answers_all_fail() -> None:
    tally = await Customers("http://127.0.0.1:9", None, 50).order(0.2)
    assert tally.accepted == []
    assert list(tally.failed) == ["no answer: All connection attempts failed"]


def test_the_command_ends_early_when_it_is_told_to_and_still_says_all(shop: Shop) -> None:
    command = [sys.executable, "-m", "warren.customers", "--url", shop.url, "--rate", "50", "--ids"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        lines = [first, *process.stdout.read().splitlines()]
    assert process.returncode == 0
    accepted = [line for line in lines if line.startswith("accepted ")]
    assert lines[-1].startswith(f"{len(accepted)} ordered, {len(accepted)} accepted, 0 failed")
    assert len(accepted) == len(shop.names)


@pytest.mark.parametrize("rate", ["0", "-1"])
def test_a_rate_is_more_than_nothing(rate: str) -> None:
    command = [sys.executable, "-m", "warren.customers", "--url", "http://127.0.0.1:9", f"--rate={rate}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{rate} is not more than 0" in done.stderr
