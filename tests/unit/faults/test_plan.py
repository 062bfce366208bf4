"""The faults of a chaos run: what the seed determines, and what holds for every seed."""

from collections import Counter
from functools import cache
from itertools import pairwise

import pytest

from faults.chaos.fault_kinds import ALL_PROCESSES, FAULT_KINDS
from faults.chaos.injections import INJECTIONS
from faults.chaos.plan import HEAD_SECONDS, KIND_BY_NAME, MAX_CONCURRENT, MEAN_INTERVAL, TAIL_SECONDS, PlannedFault
from faults.chaos.plan import plan as new_plan
from faults.launcher import FAILPOINTS

SEEDS = range(1, 11)


@cache
def plan(seed: int, seconds: float) -> list[PlannedFault]:
    return new_plan(seed, seconds)


def concurrent(faults: list[PlannedFault]) -> list[int]:
    """The number of faults under way at the start of each one, itself included."""
    return [sum(other.at <= fault.at < other.until for other in faults) for fault in faults]


def test_seed_and_length_determine_the_plan() -> None:
    assert plan(7, 600) == new_plan(7, 600)
    assert plan(7, 600) != plan(8, 600)
    assert plan(7, 600) != plan(7, 300)


@pytest.mark.parametrize("seconds", [420, 600])
def test_each_kind_comes_twice_in_a_long_run(seconds: float) -> None:
    for seed in SEEDS:
        count = Counter(fault.kind for fault in plan(seed, seconds))
        assert {kind.name: count[kind.name] for kind in FAULT_KINDS if count[kind.name] < 2} == {}, seed


def test_ten_minutes_have_a_hundred_faults() -> None:
    assert min(len(plan(seed, 600)) for seed in SEEDS) >= 100


def test_a_short_run_has_as_many_kinds_as_fit() -> None:
    for seed in SEEDS:
        kinds = [fault.kind for fault in plan(seed, 45)]
        assert len(kinds) == len(set(kinds)), seed
        assert len(kinds) >= 0.6 * (45 - HEAD_SECONDS - TAIL_SECONDS) / MEAN_INTERVAL, seed


@pytest.mark.parametrize("seconds", [45, 180, 600])
def test_faults_end_in_time_and_are_never_too_many_at_once(seconds: float) -> None:
    for seed in SEEDS:
        found = plan(seed, seconds)
        assert [fault.number for fault in found] == list(range(1, len(found) + 1))
        assert all(one.at <= other.at for one, other in pairwise(found))
        assert all(fault.at >= HEAD_SECONDS and fault.until <= seconds - TAIL_SECONDS for fault in found), seed
        assert max(concurrent(found)) <= MAX_CONCURRENT, seed


def test_no_other_fault_uses_what_a_fault_needs_exclusively() -> None:
    for seed in SEEDS:
        found = plan(seed, 600)
        for number, one in enumerate(found):
            kind = KIND_BY_NAME[one.kind]
            for other in found[number + 1 :]:
                if other.at >= one.until:
                    continue
                other_kind = KIND_BY_NAME[other.kind]
                assert "all" not in {one.target, other.target}, (seed, one, other)
                mine, theirs = kind.claims(one.target), other_kind.claims(other.target)
                assert mine.isdisjoint(theirs | set(other_kind.requires)), (seed, one, other)
                assert theirs.isdisjoint(kind.requires), (seed, one, other)


def test_faults_overlap() -> None:
    found = plan(1, 600)
    assert sum(count >= 2 for count in concurrent(found)) > len(found) / 3


def test_every_kind_has_an_injection_and_every_failpoint_a_kind() -> None:
    assert set(INJECTIONS) == {kind.name for kind in FAULT_KINDS}
    assert {f"kill -9 {point}" for point in FAILPOINTS} <= set(INJECTIONS)
    assert len({kind.name for kind in FAULT_KINDS}) == len(FAULT_KINDS)
    assert all(kind.min_seconds < kind.max_seconds for kind in FAULT_KINDS)
    assert len(ALL_PROCESSES) == len(set(ALL_PROCESSES))
