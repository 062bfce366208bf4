"""CPU time, profiles, CPU affinity, and the load generator."""

import asyncio
import cProfile
import os
import random
import re
import subprocess
import sys

import msgspec

from loadtest import cpu
from loadtest.orders import catalogue
from loadtest.orders.generator import place
from loadtest.profiling import table

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_cpu_of_a_process_includes_children_that_have_ended() -> None:
    before = cpu.of_process(os.getpid())
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert cpu.of_process(os.getpid()) - before >= 0.28


def test_cpu_of_a_server_in_a_container_is_unknown() -> None:
    # A process that waits, as the client of a container does while the server runs elsewhere.
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as client:
        assert cpu.of_server("RabbitMQ", client.pid) is None
        client.communicate(b"\n")


def test_cpu_of_a_server_includes_its_children() -> None:
    # A process with the name of PostgreSQL, whose child is busy.
    name = "import sys,ctypes,subprocess\nctypes.CDLL(None).prctl(15, b'postgres', 0, 0, 0)\n"
    name += "subprocess.run([sys.executable, '-c', sys.argv[1]])\nprint('done', flush=True)\nsys.stdin.read()\n"
    with subprocess.Popen([sys.executable, "-c", name, BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None and server.stdout.readline() == b"done\n"
        used = cpu.of_server("PostgreSQL", server.pid)
        server.communicate()
    assert used is not None and used >= 0.28


def test_servers_avoid_the_measured_core() -> None:
    before = os.sched_getaffinity(0)
    core = cpu.measured_core()
    with cpu.avoid_core(core):
        during = os.sched_getaffinity(0)
    assert os.sched_getaffinity(0) == before
    assert during == (before - {core} if len(before) > 1 else before)


def test_a_profile_shows_layers() -> None:
    profiler = cProfile.Profile()
    profiler.runcall(lambda: [msgspec.json.encode({"a": 1}) for _ in range(1000)])
    text = table(profiler)
    assert re.search(r"^JSON +\d", text, re.MULTILINE)
    assert "test_measuring.py" in text


async def test_an_order_that_is_answered_with_503_is_placed_again() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]
            seen.append(await reader.readexactly(length))
            status = b"503 Busy" if len(seen) == 1 else b"202 Accepted"
            location = b"Location: /orders/%s\r\n" % f"00000000-0000-4000-8000-{len(seen):012d}".encode()
            writer.write(b"HTTP/1.1 " + status + b"\r\n" + location + b"Content-Length: 2\r\n\r\nok")
            if len(seen) == 4:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        placed = await place(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/orders", 3, 1, seed=7)
    assert len(placed.accepted) == 3
    assert placed.unavailable == 1
    assert seen[0] == seen[1] != seen[2]
    assert placed.first_at <= placed.last_at


def test_the_same_seed_orders_the_same() -> None:
    one, other = (catalogue.order(random.Random(5)) for _ in range(2))
    assert one == other
    assert " " in msgspec.json.decode(one)["user"]  # such a name is given no mail address
