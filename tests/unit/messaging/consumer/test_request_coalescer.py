import asyncio
from collections.abc import Mapping

import pytest

from warren_messaging.consumer.request_coalescer import RequestCoalescer
from warren_messaging.errors import DatabaseUnavailable


class Rounds:
    """Answers each question with its double once `go` is set."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def answer(self, questions: Mapping[str, int]) -> dict[str, int]:
        self.seen.append(list(questions))
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return {key: question * 2 for key, question in questions.items()}


async def test_questions_during_a_round_share_the_next_round() -> None:
    rounds = Rounds()
    coalescer = RequestCoalescer(rounds.answer)
    first = asyncio.create_task(coalescer.submit("a", 1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(coalescer.submit(key, 2)) for key in ("b", "c", "b")]
    await asyncio.sleep(0.01)
    rounds.go.set()
    assert await first == 2
    assert await asyncio.gather(*others) == [4, 4, 4]
    assert rounds.seen == [["a"], ["b", "c"]]


async def test_a_cancelled_caller_does_not_stop_the_others() -> None:
    rounds = Rounds()
    coalescer = RequestCoalescer(rounds.answer)
    cancelled, waiting = (asyncio.create_task(coalescer.submit(key, 1)) for key in ("a", "b"))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    rounds.go.set()
    assert await waiting == 2
    await coalescer.close()


async def test_a_failed_round_is_repeated_one_by_one_and_only_the_bad_question_fails() -> None:
    async def answer(questions: Mapping[str, int]) -> dict[str, float]:
        return {key: 1 / question for key, question in questions.items()}

    coalescer = RequestCoalescer(answer)
    answers = await asyncio.gather(*(coalescer.submit(key, key) for key in range(5)), return_exceptions=True)
    assert isinstance(answers[0], ZeroDivisionError)
    assert answers[1:] == [1, 1 / 2, 1 / 3, 1 / 4]


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), TimeoutError()])
async def test_a_round_with_an_unavailable_server_is_not_repeated(error: Exception) -> None:
    rounds = Rounds()
    rounds.go.set()
    rounds.error = error
    coalescer = RequestCoalescer(rounds.answer)
    both = await asyncio.gather(coalescer.submit("a", 1), coalescer.submit("b", 1), return_exceptions=True)
    assert both == [error, error]
    assert rounds.seen == [["a", "b"]]


async def test_an_error_reaches_all_callers_and_the_next_round_works() -> None:
    rounds = Rounds()
    rounds.go.set()
    rounds.error = RuntimeError("broken")
    coalescer = RequestCoalescer(rounds.answer)
    both = await asyncio.gather(coalescer.submit("a", 1), coalescer.submit("b", 1), return_exceptions=True)
    assert [str(error) for error in both] == ["broken"] * 2
    rounds.error = None
    assert await coalescer.submit("a", 1) == 2
