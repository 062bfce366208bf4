import asyncio
from collections.abc import Mapping

import pytest

from warren_messaging.consumer.request_coalescer import RequestCoalescer
from warren_messaging.errors import DatabaseUnavailable


class Rounds:
    """Answers with the question doubled, when told to."""

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


async def test_questions_asked_during_a_round_share_the_next_one() -> None:
    rounds = Rounds()
    gathering = RequestCoalescer(rounds.answer)
    first = asyncio.create_task(gathering.submit("a", 1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(gathering.submit(key, 2)) for key in ("b", "c", "b")]
    await asyncio.sleep(0.01)
    rounds.go.set()
    assert await first == 2
    assert await asyncio.gather(*others) == [4, 4, 4]
    assert rounds.seen == [["a"], ["b", "c"]]


async def test_one_who_gives_up_does_not_stop_the_others() -> None:
    rounds = Rounds()
    gathering = RequestCoalescer(rounds.answer)
    impatient, patient = (asyncio.create_task(gathering.submit(key, 1)) for key in ("a", "b"))
    await asyncio.sleep(0.01)
    impatient.cancel()
    rounds.go.set()
    assert await patient == 2
    await gathering.close()


async def test_a_round_that_fails_falls_apart_and_only_its_bad_question_fails() -> None:
    async def answer(questions: Mapping[str, int]) -> dict[str, float]:
        return {key: 1 / question for key, question in questions.items()}

    gathering = RequestCoalescer(answer)
    answers = await asyncio.gather(*(gathering.submit(key, key) for key in range(5)), return_exceptions=True)
    assert isinstance(answers[0], ZeroDivisionError)
    assert answers[1:] == [1, 1 / 2, 1 / 3, 1 / 4]


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), TimeoutError()])
async def test_a_round_whose_server_is_away_is_not_asked_again(error: Exception) -> None:
    rounds = Rounds()
    rounds.go.set()
    rounds.error = error
    gathering = RequestCoalescer(rounds.answer)
    both = await asyncio.gather(gathering.submit("a", 1), gathering.submit("b", 1), return_exceptions=True)
    assert both == [error, error]
    assert rounds.seen == [["a", "b"]]


async def test_an_error_reaches_all_who_asked_and_the_next_round_goes_on() -> None:
    rounds = Rounds()
    rounds.go.set()
    rounds.error = RuntimeError("books on fire")
    gathering = RequestCoalescer(rounds.answer)
    both = await asyncio.gather(gathering.submit("a", 1), gathering.submit("b", 1), return_exceptions=True)
    assert [str(error) for error in both] == ["books on fire"] * 2
    rounds.error = None
    assert await gathering.submit("a", 1) == 2
