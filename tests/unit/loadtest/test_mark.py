"""Marks, and what the exit code says about them."""

import pytest

from loadtest.mark import Exit, Mark, exit_code
from loadtest.samples import summary


@pytest.mark.parametrize(
    ("value", "at_most", "met"),
    [(0.5, False, True), (0.49, False, False), (0.5, True, True), (0.51, True, False)],
)
def test_a_mark_is_a_floor_or_a_ceiling_and_its_bound_is_met(value: float, at_most: bool, met: bool) -> None:
    assert Mark("P0", "something", value, 0.5, at_most=at_most).met is met


def test_a_broken_invariant_outweighs_every_mark() -> None:
    met, missed = Mark("P0", "", 1, 0.5), Mark("P0", "", 0.1, 0.5)
    assert exit_code([met], []) is Exit.MET == 0
    assert exit_code([met, missed], []) is Exit.MISSED == 3
    assert exit_code([met], ["a message is lost"]) is Exit.BROKEN == 1
    assert exit_code([missed], ["a message is lost"]) is Exit.BROKEN


def test_one_disturbed_round_does_not_move_the_median() -> None:
    assert summary([10, 11, 500]).median == 11
