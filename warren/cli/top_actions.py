"""The work of `warren top`."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from rich.live import Live
from rich.text import Text

from warren.cli.screen import out, print_json
from warren.cli.system_figures import SystemFigures, read_figures
from warren.cli.system_view import render_system
from warren.errors import ClientError
from warren.local_system import running_instance
from warren.prometheus_api import PrometheusApi

QUIT_KEYS = frozenset(b"qQ\x04")
"""Ctrl-D too."""
ESCAPE = b"\x1b"
"""The key alone quits; other keys send it with further bytes."""


def run(url: str | None, namespace: str | None, *, once: bool, interval: float, as_json: bool) -> None:
    """Raises ClientError if no Prometheus is known, or if it does not respond to the first query."""
    api = PrometheusApi(url or _local_url())
    if once or as_json or not out.is_terminal:
        _print(api, namespace, interval=None if once else interval, as_json=as_json)
    else:
        _show(api, namespace, interval)


def _local_url() -> str:
    instance = running_instance()
    state = None if instance is None else instance.state
    if state is None:
        raise ClientError("nothing is running in this checkout: start it with `warren up`, or give --prometheus-url")
    if not state.urls:
        raise ClientError("the system is still starting")
    if "Prometheus" not in state.urls:
        raise ClientError("the running `warren up` has no Prometheus: start it without --no-prometheus")
    return state.urls["Prometheus"]


def _print(api: PrometheusApi, namespace: str | None, *, interval: float | None, as_json: bool) -> None:
    """Print the figures once, or with an interval, in seconds, until Ctrl-C."""
    while True:
        figures = read_figures(api, namespace, time.time())
        if as_json:
            print_json(msgspec.to_builtins(figures))
        else:
            out.print(render_system(figures, out.width, title=_title(api, namespace)), soft_wrap=True)
        if interval is None:
            return
        if not as_json:
            out.print()
        time.sleep(interval)


def _show(api: PrometheusApi, namespace: str | None, interval: float) -> None:
    """Refresh the screen until a key ends it. If Prometheus stops to respond, the last figures stay, and why."""
    title = f"{_title(api, namespace)}  q quits"
    figures = read_figures(api, namespace, time.time())
    problem = ""
    with _keys() as pressed, Live(console=out, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_screen(figures, title, problem), refresh=True)
            if pressed(interval):
                return
            try:
                figures, problem = read_figures(api, namespace, time.time()), ""
            except ClientError as error:
                problem = str(error)


def _screen(figures: SystemFigures, title: str, problem: str) -> Text:
    if not problem:
        return render_system(figures, out.width, out.height, title=title)
    line = Text(problem, style="red", no_wrap=True)
    line.truncate(out.width, overflow="ellipsis")
    return Text("\n").join([render_system(figures, out.width, out.height - 1, title=title), line])


def _title(api: PrometheusApi, namespace: str | None) -> str:
    return f"{namespace or 'all namespaces'}, from {api.url}"


class _Keys:
    """Waits for a key that quits."""

    def __call__(self, seconds: float) -> bool:
        """Wait at most so long; return whether such a key was pressed, or the terminal is gone."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([sys.stdin], [], [], left)
            if ready:
                keys = os.read(sys.stdin.fileno(), 64)
                if keys in {b"", ESCAPE} or QUIT_KEYS & set(keys):
                    return True
        return False


@contextmanager
def _keys() -> Iterator[_Keys]:
    """Read single keys from the terminal for a block. Without a terminal as input, only Ctrl-C ends the screen."""
    if not sys.stdin.isatty():
        yield _NoKeys()
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield _Keys()
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


class _NoKeys(_Keys):
    def __call__(self, seconds: float) -> bool:
        time.sleep(seconds)
        return False
