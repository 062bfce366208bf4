"""Targets, and the exit code of a command."""

import pytest

from loadtest.results import ExitCode, Host, Summary, Target, exit_code


@pytest.mark.parametrize(
    ("value", "at_most", "met"), [(0.5, False, True), (0.49, False, False), (0.5, True, True), (0.51, True, False)]
)
def test_a_target_is_a_minimum_or_a_maximum_and_its_bound_meets_it(value: float, at_most: bool, met: bool) -> None:
    assert Target("P0", "something", value, 0.5, at_most=at_most).met is met


def test_a_broken_invariant_outweighs_every_target() -> None:
    met, missed = Target("P0", "", 1, 0.5), Target("P0", "", 0.1, 0.5)
    assert exit_code([met], []) is ExitCode.MET == 0
    assert exit_code([met, missed], []) is ExitCode.MISSED == 3
    assert exit_code([met], ["a message is lost"]) is ExitCode.BROKEN == 1
    assert exit_code([missed], ["a message is lost"]) is ExitCode.BROKEN


def test_one_disturbed_measurement_does_not_change_the_median() -> None:
    assert Summary.of([10, 11, 500]).median == 11


def test_the_host_is_described() -> None:
    host = Host.current()
    assert host.cores >= 1
    assert host.processor
    assert host.memory_gib > 0
    assert host.libraries["aio-pika"]
