import asyncio
from collections.abc import Mapping

import pytest
from opentelemetry import trace

from tests.recorded_spans import recorded_spans
from warren_messaging.consumer.request_coalescer import RequestCoalescer
from warren_messaging.errors import DatabaseUnavailable, TransientError


class DoublingProcessor:
    """Answers each request with its double once `go` is set, and records the keys of each batch."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def process(self, requests: Mapping[str, int]) -> dict[str, int]:
        self.batches.append(list(requests))
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return {key: request * 2 for key, request in requests.items()}


async def test_requests_during_a_batch_share_the_next_batch() -> None:
    processor = DoublingProcessor()
    coalescer = RequestCoalescer(processor.process)
    first = asyncio.create_task(coalescer.submit("a", 1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(coalescer.submit(key, 2)) for key in ("b", "c", "b")]
    await asyncio.sleep(0.01)
    processor.go.set()
    assert await first == 2
    assert await asyncio.gather(*others) == [4, 4, 4]
    assert processor.batches == [["a"], ["b", "c"]]


async def test_a_cancelled_caller_does_not_stop_the_others() -> None:
    processor = DoublingProcessor()
    coalescer = RequestCoalescer(processor.process)
    cancelled, waiting = (asyncio.create_task(coalescer.submit(key, 1)) for key in ("a", "b"))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    processor.go.set()
    assert await waiting == 2
    await coalescer.close()


async def test_a_failed_batch_is_repeated_request_by_request() -> None:
    async def process(requests: Mapping[str, int]) -> dict[str, float]:
        return {key: 1 / request for key, request in requests.items()}

    coalescer = RequestCoalescer(process)
    responses = await asyncio.gather(*(coalescer.submit(key, key) for key in range(5)), return_exceptions=True)
    assert isinstance(responses[0], ZeroDivisionError)
    assert responses[1:] == [1, 1 / 2, 1 / 3, 1 / 4]


@pytest.mark.parametrize("error", [DatabaseUnavailable("unavailable"), TimeoutError()])
async def test_a_batch_with_an_unavailable_server_is_not_repeated(error: Exception) -> None:
    processor = DoublingProcessor()
    processor.go.set()
    processor.error = error
    coalescer = RequestCoalescer(processor.process)
    both = await asyncio.gather(coalescer.submit("a", 1), coalescer.submit("b", 1), return_exceptions=True)
    assert both == [error, error]
    assert processor.batches == [["a", "b"]]


async def test_an_error_reaches_all_callers_and_the_next_batch_works() -> None:
    processor = DoublingProcessor()
    processor.go.set()
    processor.error = RuntimeError("broken")
    coalescer = RequestCoalescer(processor.process)
    both = await asyncio.gather(coalescer.submit("a", 1), coalescer.submit("b", 1), return_exceptions=True)
    assert [str(error) for error in both] == ["broken"] * 2
    processor.error = None
    assert await coalescer.submit("a", 1) == 2


async def test_a_cancellation_within_a_batch_is_an_error_of_its_request() -> None:
    async def process(requests: Mapping[str, int]) -> dict[str, int]:
        if "bad" in requests:
            raise asyncio.CancelledError
        return dict(requests)

    coalescer = RequestCoalescer(process)
    async with asyncio.timeout(5):
        bad, good = await asyncio.gather(
            coalescer.submit("bad", 1), coalescer.submit("good", 2), return_exceptions=True
        )
    assert isinstance(bad, TransientError)
    assert good == 2


async def test_no_caller_waits_for_a_batch_whose_worker_is_cancelled_or_has_failed() -> None:
    class Fatal(BaseException):
        pass

    async def fail(requests: Mapping[str, int]) -> dict[str, int]:
        raise Fatal

    async with asyncio.timeout(5):
        with pytest.raises(Fatal):
            await RequestCoalescer(fail).submit("a", 1)
        processor = DoublingProcessor()
        coalescer = RequestCoalescer(processor.process)
        caller = asyncio.create_task(coalescer.submit("a", 1))
        await asyncio.sleep(0.01)
        assert coalescer._worker is not None
        coalescer._worker.cancel()
        assert isinstance((await asyncio.gather(caller, return_exceptions=True))[0], asyncio.CancelledError)


async def test_a_batch_runs_in_the_span_of_none_of_its_requests() -> None:
    seen = []

    async def process(requests: Mapping[int, int]) -> Mapping[int, int]:
        seen.append(trace.get_current_span())
        return requests

    coalescer: RequestCoalescer[int, int] = RequestCoalescer(process)
    with recorded_spans(), trace.get_tracer("test").start_as_current_span("request"):
        assert await coalescer.submit(1, 1) == 1
    assert seen == [trace.INVALID_SPAN]
