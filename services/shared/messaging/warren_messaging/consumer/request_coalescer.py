"""Questions asked at the same time share one round trip.

While one round is under way the next questions gather, and all of them make the next round: a lone question is
asked at once, and under load the rounds grow by themselves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

from warren_messaging.errors import Unavailable

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class RequestCoalescer(Generic[Question, Answer]):
    """`answer` is given questions by key and returns an answer for each key.

    When a round fails, each of its questions is asked alone, so an error is raised only where its own question was
    asked. So `answer` may get a question twice. Only Unavailable and TimeoutError are raised to all callers at once.

    Those who ask with the same key in one round share the answer to the first of them. Who is cancelled while
    waiting does not hear the answer; the question is asked all the same.
    """

    def __init__(self, answer: Callable[[Mapping[Any, Question]], Awaitable[Mapping[Any, Answer]]]) -> None:
        self._answer = answer
        self._waiting: dict[Hashable, tuple[Question, asyncio.Future[Answer]]] = {}
        self._rounds: asyncio.Task[None] | None = None

    async def submit(self, key: Hashable, question: Question) -> Answer:
        if key not in self._waiting:
            self._waiting[key] = (question, asyncio.get_running_loop().create_future())
        _, answer = self._waiting[key]
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._run())
        return await asyncio.shield(answer)

    async def close(self) -> None:
        """Wait for the round under way."""
        if self._rounds is not None:
            await self._rounds

    async def _run(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, {}
            await self._round(asked)

    async def _round(self, asked: dict[Hashable, tuple[Question, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._answer({key: question for key, (question, _) in asked.items()})
            for key, (_, future) in asked.items():
                future.set_result(answers[key])
        except Exception as error:  # noqa: BLE001 - it is raised again where the question was asked
            if len(asked) > 1 and not isinstance(error, (Unavailable, TimeoutError)):
                for key, each in asked.items():
                    await self._round({key: each})
                return
            for _, future in asked.values():
                if not future.done():
                    future.set_exception(error)
                    # Marked as retrieved, since the caller may be gone: asyncio would log the error.
                    future.exception()
