"""Commands start quickly, and an early end prints at most one line."""

import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devtools.paths import CHECKOUT

ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(str(CHECKOUT / part) for part in (".", "operator", "services/shared/messaging")),
    "WARREN_URL": "http://127.0.0.1:1",
    "WARREN_BROKER_URL": "amqps://127.0.0.1:1/orders",
    "WARREN_BROKER_CREDENTIALS": "/nowhere",
    "WARREN_DATABASE_URL": "postgresql://ops@127.0.0.1:1/warren",
    "WARREN_CACHE": "/nowhere",
}
PRELUDE = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            {action}
sys.meta_path.insert(0, Finder())
{start}
"""
NOT_INSTALLED = "raise ModuleNotFoundError('not there', name=name)"
WARREN = "from warren.entry import warren; warren()"
TOPOLOGY = "from broker_topology.entry import broker_topology; broker_topology()"
LOADTEST = "runpy.run_module('loadtest')"
MODULES = """
import sys
from warren import cli
try:
    cli.load(sys.argv[1:])()
finally:
    sys.stderr.write(" ".join(sorted(sys.modules)))
"""
DRIVERS = {"asyncpg", "aiormq", "asyncio"}
NEVER = {"httpx", "aiohttp", "litestar", "structlog", "yaml", "broker_topology.interface"}
NEVER |= {"prometheus_client", "rich.progress"}


def run(*arguments: str, program: tuple[str, ...] = ("-m", "warren"), **options: object) -> subprocess.CompletedProcess:
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run([sys.executable, *program, *arguments], env=ENVIRONMENT, text=True, check=False, **given)


def modules(*command: str) -> set[str]:
    """Run a command and return the names of the modules that it imported."""
    return set(run(*command, program=("-c", MODULES)).stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        ("--help", DRIVERS | {"urllib.request", "markdown_it", "warren.client"}),
        ("dlq list --help", DRIVERS | {"urllib.request", "markdown_it"}),
        ("order cancel 1", DRIVERS),
        ("order list", DRIVERS),
        ("order place mug", DRIVERS),
        ("down", DRIVERS | {"rich", "urllib.request"}),
        ("completion bash", DRIVERS | {"urllib.request", "warren.client"}),
        ("failures", {"urllib.request", "warren.client", "services.shared.contracts"}),
        ("outbox", {"urllib.request", "warren.client", "services.shared.contracts"}),
        ("schedule list", {"urllib.request", "warren.client", "services.shared.contracts"}),
        ("schedule cancel --help", DRIVERS | {"urllib.request", "markdown_it"}),
        ("dlq list", {"asyncpg", "rich.table", "warren.client", "warren.progress", "services.shared.contracts"}),
        ("dlq replay --all", {"asyncpg", "rich.table", "warren.client"}),
    ],
)
def test_a_command_imports_only_what_it_needs(command: str, unwanted: set[str]) -> None:
    loaded = modules(*command.split())
    assert "cyclopts" in loaded
    assert not loaded & (NEVER | unwanted)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_the_list_of_commands_describes_each(arguments: tuple[str, ...]) -> None:
    described = dict(re.findall(r"^│ ([a-z]+) +(\S?).*│$", run(*arguments).stdout, re.MULTILINE))
    assert {"demo", "dlq", "outbox", "retries", "schedule", "token"} <= described.keys()
    assert all(described.values())


@pytest.mark.parametrize(("command", "most"), [("down", 200), ("order list", 320), ("dlq list", 430)])
def test_the_number_of_imported_modules_is_bounded(command: str, most: int) -> None:
    """The time to start grows with it, and unlike the time it is the same on every machine."""
    assert len(modules(*command.split())) <= most


def test_a_command_takes_at_most_twice_the_import_time_of_its_libraries() -> None:
    def seconds(*program: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(program=program)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    libraries, command = [], []
    for _ in range(5):
        libraries.append(seconds("-c", "import cyclopts, msgspec, rich.table, urllib.request"))
        command.append(seconds("-m", "warren", "order", "cancel", "k1"))
    assert min(command) < 2 * min(libraries), f"{command} and {libraries} seconds of CPU"


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("order list", "warren.cli"),
        ("order list", "cyclopts.core"),
        ("order list", "warren.cli.order_actions"),
        ("order list", "http.client"),
        ("dlq list", "aiormq"),
        ("failures", "asyncpg.exceptions"),
        ("up", "devtools.local.system"),
        ("demo", "rich.live"),
    ],
)
def test_ctrl_c_during_an_import_ends_the_command_silently(command: str, module: str) -> None:
    code = PRELUDE.format(name=module, action="os.kill(os.getpid(), signal.SIGINT)", start=WARREN)
    done = run(*command.split(), program=("-c", code))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("command", ["--help", "--version", "completion bash", "down"])
def test_output_that_cannot_be_written_is_reported_in_one_line(command: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*command.split(), stdout=full)
    assert (done.returncode, done.stderr) == (1, "warren: standard output: No space left on device\n")


def test_a_closed_pipe_ends_the_command_silently() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run("completion", "zsh", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_closed_standard_output_is_reported_in_one_line() -> None:
    shell = ["sh", "-c", f"{sys.executable} -m warren --version >&-"]
    done = subprocess.run(shell, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "warren: standard output is closed\n")


@pytest.mark.parametrize(
    ("start", "module", "advice"),
    [
        (WARREN, "cyclopts", "warren: … pip install 'warren[local]'"),
        (WARREN, "rich.console", "warren: … pip install 'warren[local]'"),
        (TOPOLOGY, "yaml", "broker-topology: … pip install broker-topology"),
        (LOADTEST, "aio_pika", "loadtest: … make .venv/.dev"),
    ],
)
def test_a_missing_package_is_reported_with_the_command_that_installs_it(start: str, module: str, advice: str) -> None:
    done = run("order", "list", program=("-c", PRELUDE.format(name=module, action=NOT_INSTALLED, start=start)))
    assert done.returncode == 1
    assert done.stderr == advice.replace("…", f"the package that provides {module!r} is not installed:") + "\n"


@pytest.mark.parametrize("command", ["up", "demo", "down", "status", "logs", "restart payment"])
def test_without_devtools_the_commands_of_the_local_system_fail_with_one_line(command: str) -> None:
    code = PRELUDE.format(name="devtools", action=NOT_INSTALLED, start=WARREN)
    done = run(*command.split(), program=("-c", code))
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == "warren: this command runs in a checkout of Warren: the package devtools is not installed here\n"
    )


def test_without_devtools_the_default_address_is_that_of_port_8080() -> None:
    start = "del os.environ['WARREN_URL']; from warren.client import default_url; print(default_url())"
    code = PRELUDE.format(name="devtools", action=NOT_INSTALLED, start=start)
    assert run(program=("-c", code)).stdout == "http://127.0.0.1:8080\n"


@pytest.mark.parametrize(
    ("command", "usage", "message"),
    [
        ("order place --frobnicate", "warren order place [OPTIONS]", "--frobnicate"),
        ("order nosuch", "warren order COMMAND", "place, show"),
        ("order list --state paid", "warren order list", '"PAID"'),
        ("order list --limit 0", "warren order list", ">= 1"),
        ("dlq show", "warren dlq show [OPTIONS] ID", "ID"),
        ("nosuch", "warren COMMAND", "nosuch"),
    ],
)
def test_wrong_usage_prints_the_usage_of_the_command(command: str, usage: str, message: str) -> None:
    done = run(*command.split())
    first, second, third = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert message in first
    assert usage in second
    assert third.startswith("More: warren")


def test_an_argument_that_is_not_utf_8_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "warren", "order", "show", b"\xff\x1b"],
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == b"warren: the argument \\udcff\\x1b is not UTF-8\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_commands_options_and_values(shell: str) -> None:
    script = run("completion", shell).stdout
    for word in ("order", "place", "idempotency-key", "CANCELLING", "replay"):
        assert word in script


def test_only_scripts_change_signal_handlers() -> None:
    code = "import signal, warren.cli.commands, warren.cli.dlq_actions; print(signal.getsignal(signal.SIGINT))"
    assert "default_int_handler" in run(program=("-c", code)).stdout
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
