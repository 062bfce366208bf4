"""When each fault of a chaos run is injected: a pure function of the seed and of the length of the run."""

import random
from collections.abc import Iterator

import msgspec

from faults.chaos.fault_kinds import FAULT_KINDS, FaultKind

MEAN_INTERVAL = 4.2  # seconds between the starts of two faults
MAX_CONCURRENT = 4
HEAD_SECONDS = 3.0  # at the start, without a fault
TAIL_SECONDS = 5.0  # at the end, when every fault is repaired
TURNS = 2
"""Faults of each kind, if the run is long enough."""
MAX_TRIES = 400  # to find a time for one fault
KIND_BY_NAME = {kind.name: kind for kind in FAULT_KINDS}


class PlannedFault(msgspec.Struct, frozen=True):
    """One fault: its kind, its target, when it starts (seconds after the start of the run), how long it lasts."""

    number: int
    at: float
    kind: str
    target: str
    seconds: float
    claimed: float
    """Seconds, including the repair, for which no other fault may need the exclusive parts."""
    seed: int
    """Seed of further random choices, such as a direction."""

    @property
    def until(self) -> float:
        return self.at + self.claimed


def plan(seed: int, seconds: float) -> list[PlannedFault]:
    """Return faults in the order of their starts: each kind at least twice, or in a short run as many kinds as fit."""
    rng = random.Random(f"chaos {seed} {seconds:g}")  # noqa: S311 - must be repeatable
    usable = seconds - HEAD_SECONDS - TAIL_SECONDS
    chosen: list[PlannedFault] = []
    for kind in _kinds_to_place(rng, max(1, int(usable / MEAN_INTERVAL))):
        for _ in range(MAX_TRIES):
            fault = _random_fault(rng, kind, seconds)
            if fault is not None and _fits(fault, kind, chosen):
                chosen.append(fault)
                break
    chosen.sort(key=lambda fault: fault.at)
    return [msgspec.structs.replace(fault, number=number) for number, fault in enumerate(chosen, start=1)]


def _kinds_to_place(rng: random.Random, count: int) -> Iterator[FaultKind]:
    """Yield the kinds of `count` faults; those that claim most come first, while the plan is empty."""
    kinds = list(FAULT_KINDS)
    if count < len(kinds):
        kinds = rng.sample(kinds, count)
    chosen = [kind for kind in kinds for _ in range(min(TURNS, max(1, count // len(kinds))))]
    if count > len(chosen):
        weights = [kind.weight for kind in FAULT_KINDS]
        chosen += rng.choices(FAULT_KINDS, weights=weights, k=count - len(chosen))
    guaranteed = len(kinds) * TURNS
    yield from sorted(
        chosen[:guaranteed], key=lambda kind: (-len(kind.exclusive), -(kind.max_seconds + kind.repair_seconds))
    )
    yield from chosen[guaranteed:]


def _random_fault(rng: random.Random, kind: FaultKind, seconds: float) -> PlannedFault | None:
    duration = round(rng.uniform(kind.min_seconds, kind.max_seconds), 2)
    claimed = duration + kind.repair_seconds
    latest = seconds - TAIL_SECONDS - claimed
    if latest <= HEAD_SECONDS:
        return None
    at = round(rng.uniform(HEAD_SECONDS, latest), 2)
    return PlannedFault(0, at, kind.name, rng.choice(kind.targets), duration, claimed, rng.getrandbits(32))


def _fits(fault: PlannedFault, kind: FaultKind, others: list[PlannedFault]) -> bool:
    concurrent = [other for other in others if other.at < fault.until and fault.at < other.until]
    if any(_conflict(fault, kind, other, KIND_BY_NAME[other.kind]) for other in concurrent):
        return False
    # The number of concurrent faults is highest where one of them starts.
    starts = [fault.at, *(other.at for other in concurrent if other.at >= fault.at)]
    return all(sum(other.at <= at < other.until for other in concurrent) < MAX_CONCURRENT for at in starts)


def _conflict(one: PlannedFault, kind: FaultKind, other: PlannedFault, other_kind: FaultKind) -> bool:
    mine, theirs = kind.claims(one.target), other_kind.claims(other.target)
    if "all" in mine | theirs:
        return True
    return bool(mine & theirs or mine & set(other_kind.requires) or theirs & set(kind.requires))
