"""promtool, Prometheus's tool that checks and tests rules, from the same root or image as the server."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from devtools.paths import CHECKOUT
from devtools.servers.prometheus import rule_files
from devtools.servers.runtime import monitoring_runtimes
from warren.progress import ProgressReport


class Promtool:
    """Runs promtool on copies of files, in `folder`, which is its own. Raises LocalError if it cannot run here."""

    def __init__(self, folder: Path, *, report: ProgressReport | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._runtime, _ = monitoring_runtimes(folder, report or ProgressReport(quiet=True))

    def run(
        self,
        *arguments: str,
        files: Iterable[Path] = (),
        texts: Mapping[str, str] | None = None,
        time_limit: float = 60.0,
    ) -> str:
        """Return the output of `promtool ARGUMENTS…`. Raises ServerError, with that output, if it fails.

        `files` are files or folders of *.yaml in the checkout. promtool sees them below its working directory, at the
        same relative paths as in the checkout, and the arguments name them so:

            promtool.run("test", "rules", "tests/rules/outbox.yaml", files=[RULES, CHECKOUT / "tests" / "rules"])

        `texts` are further files, by their path below the working directory.
        """
        content = {str(file.relative_to(CHECKOUT)): file.read_bytes() for file in rule_files(list(files))}
        content |= {name: text.encode() for name, text in (texts or {}).items()}
        return self._runtime.run_once(["promtool", *arguments], content, time_limit)
