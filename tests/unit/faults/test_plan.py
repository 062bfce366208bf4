"""The plan of a chaos run: what the seed decides, and what holds whatever the seed."""

from collections import Counter
from functools import cache
from itertools import pairwise

import pytest

from faults.chaos.fault_kinds import EVERYBODY, KINDS
from faults.chaos.injections import INJECTIONS
from faults.chaos.plan import BY_NAME, CALM, EVERY, MOST_AT_ONCE, QUIET, Planned
from faults.chaos.plan import plan as new_plan
from faults.launcher import POINTS

SEEDS = range(1, 11)


@cache
def plan(seed: int, seconds: float) -> list[Planned]:
    return new_plan(seed, seconds)


def test_a_seed_and_a_length_name_one_plan() -> None:
    assert plan(7, 600) == new_plan(7, 600)
    assert plan(7, 600) != plan(8, 600)
    assert plan(7, 600) != plan(7, 300)


@pytest.mark.parametrize("seconds", [420, 600])
def test_each_kind_comes_twice_where_there_is_room(seconds: float) -> None:
    for seed in SEEDS:
        count = Counter(fault.kind for fault in plan(seed, seconds))
        assert {kind.name: count[kind.name] for kind in KINDS if count[kind.name] < 2} == {}, seed


def test_ten_minutes_have_a_hundred_faults() -> None:
    assert min(len(plan(seed, 600)) for seed in SEEDS) >= 100


def test_a_short_run_has_as_many_kinds_as_fit() -> None:
    for seed in SEEDS:
        kinds = [fault.kind for fault in plan(seed, 45)]
        assert len(kinds) == len(set(kinds)), seed
        assert len(kinds) >= 0.6 * (45 - QUIET - CALM) / EVERY, seed


@pytest.mark.parametrize("seconds", [45, 180, 600])
def test_all_is_mended_before_the_end_and_never_too_much_at_once(seconds: float) -> None:
    for seed in SEEDS:
        found = plan(seed, seconds)
        assert [fault.number for fault in found] == list(range(1, len(found) + 1))
        assert all(one.at <= other.at for one, other in pairwise(found))
        assert all(fault.at >= QUIET and fault.until <= seconds - CALM for fault in found), seed
        most = max(sum(other.at <= fault.at < other.until for other in found) for fault in found)
        assert most <= MOST_AT_ONCE, seed


def test_what_a_fault_needs_for_itself_nobody_else_needs() -> None:
    for seed in SEEDS:
        found = plan(seed, 600)
        for number, one in enumerate(found):
            kind = BY_NAME[one.kind]
            for other in found[number + 1 :]:
                if other.at >= one.until:
                    continue
                its_kind = BY_NAME[other.kind]
                assert "all" not in {one.target, other.target}, (seed, one, other)
                mine, theirs = kind.claims(one.target), its_kind.claims(other.target)
                assert mine.isdisjoint(theirs | set(its_kind.shared)), (seed, one, other)
                assert theirs.isdisjoint(kind.shared), (seed, one, other)


def test_faults_do_overlap() -> None:
    found = plan(1, 600)
    beside = [sum(other.at <= fault.at < other.until for other in found) for fault in found]
    assert sum(count >= 2 for count in beside) > len(found) / 3


def test_every_kind_has_its_injection_and_every_point_its_kind() -> None:
    assert set(INJECTIONS) == {kind.name for kind in KINDS}
    assert {f"kill -9 {point}" for point in POINTS} <= set(INJECTIONS)
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert all(kind.shortest < kind.longest for kind in KINDS)
    assert len(EVERYBODY) == len(set(EVERYBODY))
