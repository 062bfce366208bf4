"""Combines concurrent requests into batches.

While one batch is in progress, further requests wait, and all of them form the next batch: a single request runs at
once, and under load the batches grow by themselves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

from warren_messaging.cancellation import inner_cancellation_as_error
from warren_messaging.errors import Unavailable
from warren_messaging.tracing import without_span

Request = TypeVar("Request")
Response = TypeVar("Response")


class RequestCoalescer(Generic[Request, Response]):
    """`process` takes requests by key and returns a response for each key.

    When a batch fails, each of its requests is processed alone, so an error is raised only to the caller whose request
    caused it, and `process` may get a request twice. Only Unavailable and TimeoutError are raised to all callers.

    Callers with the same key in one batch share the response to the first request. A caller that is cancelled while it
    waits gets no response; its request is processed all the same.
    """

    def __init__(self, process: Callable[[Mapping[Any, Request]], Awaitable[Mapping[Any, Response]]]) -> None:
        self._process = process
        self._waiting: dict[Hashable, tuple[Request, asyncio.Future[Response]]] = {}
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, key: Hashable, request: Request) -> Response:
        """Process a request with the next batch. Raises the error that `process` raises for it."""
        if key not in self._waiting:
            self._waiting[key] = (request, asyncio.get_running_loop().create_future())
        _, response = self._waiting[key]
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._run(), context=without_span())
        return await asyncio.shield(response)

    async def close(self) -> None:
        """Wait until no batch is in progress."""
        if self._worker is not None:
            await self._worker

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            await self._run_batch(batch)

    async def _run_batch(self, batch: dict[Hashable, tuple[Request, asyncio.Future[Response]]]) -> None:
        try:
            with inner_cancellation_as_error():
                responses = await self._process({key: request for key, (request, _) in batch.items()})
            for key, (_, future) in batch.items():
                future.set_result(responses[key])
        except asyncio.CancelledError:
            for _, future in batch.values():
                future.cancel()
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised again to the callers
            if len(batch) > 1 and isinstance(error, Exception) and not isinstance(error, (Unavailable, TimeoutError)):
                for key, each in batch.items():
                    await self._run_batch({key: each})
                return
            for _, future in batch.values():
                if not future.done():
                    future.set_exception(error)
                    # Marked as retrieved, since the caller may be gone: asyncio would log the error.
                    future.exception()
