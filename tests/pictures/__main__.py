"""`python -m tests.pictures`: draws every dashboard, `warren top` and `warren trace` with data of a load with faults.

The pictures go into docs/pictures.

It takes about six minutes: the whole system runs on private servers and is scraped by Prometheus, then the operator
with an emulated API server. `--folder` writes elsewhere.
"""

import argparse
import asyncio
import json
import sys
from contextlib import closing
from pathlib import Path

from devtools.dashboards.evaluation import Evaluation
from devtools.dashboards.picture import picture
from devtools.dashboards.registry import BOARDS, FOLDER
from devtools.local.instance import Instance
from devtools.local.system import System
from devtools.paths import CHECKOUT
from devtools.processes.supervisor import sigterm_as_interrupt
from devtools.servers.prometheus import INTERVAL
from tests.pictures.commands import draw_top, draw_trace
from tests.pictures.operator_load import SCRAPE_INTERVAL, observed_operator
from tests.pictures.shop_load import LoadRun, ShopLoad
from warren.progress import ProgressReport
from warren.prometheus_api import PrometheusApi

PICTURES = CHECKOUT / "docs" / "pictures"
OPERATOR = "operator"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.pictures", description="Draw every dashboard, warren top and warren trace."
    )
    parser.add_argument("--folder", type=Path, default=PICTURES, help="default: %(default)s")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    report = ProgressReport()
    with (
        sigterm_as_interrupt(),
        Instance("pictures") as instance,
        System(instance.dir, report=report, fresh=True, traces=True, prometheus=True) as system,
    ):
        assert system.monitoring is not None
        with report.step("Orders and faults, for about three minutes"):
            run = ShopLoad(system, lambda: draw_top(folder, system)).run()
        draw_trace(folder, system)
        for name in BOARDS.keys() - {OPERATOR}:
            _draw(folder, name, system.monitoring.prometheus.api, run, INTERVAL)
        with report.step("Topologies and drift, for about a minute"), closing(asyncio.Runner()) as runner:
            operator = observed_operator(system.servers.broker.endpoints, instance.dir / "operator")
            api, observed = runner.run(operator.__aenter__())
            _draw(folder, OPERATOR, api, observed, SCRAPE_INTERVAL)
            runner.run(operator.__aexit__(None, None, None))


def _draw(folder: Path, name: str, api: PrometheusApi, run: LoadRun, interval: float) -> None:
    board = json.loads((FOLDER / f"{name}.json").read_text())
    evaluation = Evaluation(api=api, board=board, start=run.start, end=run.end, scrape=interval)
    drawn, empty = picture(evaluation, run.caption)
    file = folder / f"dashboard-{name}.svg"
    file.write_text(drawn)
    note = f"; without data: {', '.join(empty)}" if empty else ""
    sys.stdout.write(f"{file} ({len(drawn) / 1024:.0f} KiB){note}\n")


if __name__ == "__main__":
    main()
