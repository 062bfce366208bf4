"""Profiles one process and attributes its CPU time to layers.

`python -m loadtest.profiling FILE MODULE [ARGUMENTS]` runs a module as a program and writes its profile to FILE.

cProfile counts calls, unlike a sampling profiler: a slow function can be distinguished from one that is called too
often. It slows Python code down about twofold and C code not at all, so Python's shares are too high.
"""

import cProfile
import pstats
import runpy
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from devtools.paths import CHECKOUT

LAYERS: Mapping[str, tuple[str, ...]] = {
    "importing": ("importlib", "marshal.loads", "builtins.exec", "builtins.compile", "__build_class__", "/re/_"),
    "broker driver": ("/aiormq/", "/aio_pika/", "/pamqp/", "/aiormq", "pamqp"),
    "database driver": ("/asyncpg/", "asyncpg"),
    "library": ("/services/shared/messaging/",),
    "process and HTTP": ("/services/shared/chassis/", "/litestar/", "/uvicorn/", "/httptools/"),
    "handlers": ("/services/", "/loadtest/"),
    "JSON": ("msgspec", "/json/"),
    "logging": ("/structlog/", "/logging/"),
    "event loop, TLS": ("uvloop", "/asyncio/", "ssl", "_ssl"),
}
"""Layer to parts of its functions' file and name; the first layer that matches counts."""
OTHER = "other"
TOP = 25

_Function = tuple[str, int, str]
"""File, line, name."""
_Times = tuple[int, int, float, float, Mapping[_Function, tuple[int, int, float, float]]]
"""Calls with and without recursion, own time, cumulative time, and the same by caller."""


@contextmanager
def profiled(out: TextIO | None) -> Iterator[None]:
    """Profile the block and write its tables to `out`, if there is one."""
    if out is None:
        yield
        return
    # CPU time instead of wall time, because a service mostly waits.
    profiler = cProfile.Profile(time.process_time)
    profiler.enable()
    try:
        yield
    finally:
        profiler.disable()
        out.write(table(profiler))


def table(profiler: cProfile.Profile) -> str:
    """Format the own time of each layer, and the functions with the most own time."""
    stats: Mapping[_Function, _Times] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    layers: dict[str, float] = {}
    rows = []
    for function, (_, calls, own, _, callers) in stats.items():
        file, line, name = function
        layer = _layer(function)
        if layer == OTHER and callers:
            # Built-in functions such as `len` count for their callers.
            for caller, times in callers.items():
                layers[_layer(caller)] = layers.get(_layer(caller), 0.0) + times[2]
        else:
            layers[layer] = layers.get(layer, 0.0) + own
        rows.append((own, calls, layer, f"{_short(file)}:{line} {name}"))
    total = sum(layers.values()) or 1.0
    lines = [f"{'layer':<20}{'own s':>8}{'share':>8}"]
    for layer, own in sorted(layers.items(), key=lambda item: -item[1]):
        lines.append(f"{layer:<20}{own:>8.2f}{own / total:>8.1%}")
    lines += ["", f"{'own s':>8}{'share':>8}{'calls':>10}  {'layer':<18}function"]
    for own, calls, layer, place in sorted(rows, reverse=True)[:TOP]:
        lines.append(f"{own:>8.3f}{own / total:>8.1%}{calls:>10}  {layer:<18}{place}")
    return "\n".join(lines) + "\n"


def _short(file: str) -> str:
    for folder in (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), str(CHECKOUT)):
        file = file.removeprefix(f"{folder}/")
    return file


def _layer(function: _Function) -> str:
    place = f"{function[0]} {function[2]}"
    return next((layer for layer, parts in LAYERS.items() if any(part in place for part in parts)), OTHER)


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit("usage: python -m loadtest.profiling FILE MODULE [ARGUMENTS]")
    file, module = Path(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]
    with file.open("w") as out, profiled(out):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
