"""The page of metrics: what a scrape costs the service, and the version that it shows."""

import asyncio
import tomllib

from structlog.testing import capture_logs

from devtools.paths import CHECKOUT
from services import VERSION
from services.shared.chassis.metrics import ProcessMetrics


async def test_scrapes_at_the_same_time_share_one_refresh() -> None:
    metrics, refreshes, answer = ProcessMetrics(), 0, asyncio.Event()

    async def refresh() -> None:
        nonlocal refreshes
        refreshes += 1
        await answer.wait()

    metrics.on_scrape(refresh)
    scrapes = [asyncio.create_task(metrics.page()) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    scrapes.pop(0).cancel()  # the scraper that came first has disconnected
    answer.set()
    pages = await asyncio.gather(*scrapes)
    assert refreshes == 1
    assert all(b"warren_build_info{" in page for page, _ in pages)
    await metrics.page()
    assert refreshes == 2


def test_the_version_is_that_of_the_project_and_needs_no_package_metadata() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
    # Images contain the services as files, so their package has no metadata there.
    sources = [*(CHECKOUT / "services").glob("*.py"), *(CHECKOUT / "services/shared/chassis").rglob("*.py")]
    assert not [file for file in sources if "importlib.metadata" in file.read_text()]


async def test_an_error_of_one_gauge_does_not_cost_the_page() -> None:
    metrics, refreshed = ProcessMetrics(), asyncio.Event()

    async def wrong() -> None:
        raise KeyError("part")

    async def right() -> None:
        refreshed.set()

    metrics.on_scrape(wrong)
    metrics.on_scrape(right)
    with capture_logs() as lines:
        page, _ = await metrics.page()
    assert b"warren_build_info{" in page
    assert refreshed.is_set()
    assert [line["event"] for line in lines] == ["metrics not refreshed"]
