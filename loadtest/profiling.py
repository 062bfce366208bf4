"""Where the time of one process goes, by layer.

cProfile is chosen over sampling because it counts calls, which tells a slow function from one that is called too
often. It slows Python code down about twofold and C code not at all, so shares are read, never speeds.
"""

import cProfile
import pstats
import sysconfig
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
"""Layer to what its functions' places contain; the first that fits counts."""
OTHER = "other"
TOP = 25

_Function = tuple[str, int, str]
"""File, line, name."""
_Times = tuple[int, int, float, float, Mapping[_Function, tuple[int, int, float, float]]]
"""Calls, calls that were no recursion, own time, time with what it called, and the same by caller."""


@contextmanager
def profiled(out: TextIO | None) -> Iterator[None]:
    """Profile the block and write the tables to `out`; does nothing without one."""
    if out is None:
        yield
        return
    # CPU time, not the clock's: a service mostly waits.
    profiler = cProfile.Profile(time.process_time)
    profiler.enable()
    try:
        yield
    finally:
        profiler.disable()
        out.write(table(profiler))


def table(profiler: cProfile.Profile) -> str:
    """Own time of functions, summed up by layer, and the functions that have most of it."""
    stats: Mapping[_Function, _Times] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    layers: dict[str, float] = {}
    rows = []
    for function, (_, calls, own, _, callers) in stats.items():
        file, line, name = function
        layer = _layer(function)
        if layer == OTHER and callers:
            # `len` and its like belong to whoever calls them.
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
