"""What fails when: a pure function of the seed and of how long the run is to be."""

import random
from collections.abc import Iterator

import msgspec

from faults.chaos.fault_kinds import KINDS, Kind

EVERY = 4.2  # seconds between the starts of two faults, on average
MOST_AT_ONCE = 4
QUIET = 3.0  # seconds at the beginning, in which everything is whole
CALM = 5.0  # seconds at the end, by which everything is mended
TURNS = 2
"""How often each kind comes, if there is room."""
TRIES = 400  # to find a place for one fault


class Planned(msgspec.Struct, frozen=True):
    """One fault: of which kind, to whom, from when (seconds after the beginning), how long."""

    number: int
    at: float
    kind: str
    target: str
    seconds: float
    claimed: float
    """Seconds, the mending included, in which nothing else needs what it needs for itself."""
    dice: int
    """Seed of what else is left to chance, such as a direction or a moment."""

    @property
    def until(self) -> float:
        return self.at + self.claimed


def plan(seed: int, seconds: float) -> list[Planned]:
    """Faults in the order of their starts. Each kind at least twice if there is room, else as many kinds as fit."""
    chance = random.Random(f"chaos {seed} {seconds:g}")  # noqa: S311 - must be repeatable
    usable = seconds - QUIET - CALM
    chosen: list[Planned] = []
    for kind in _deck(chance, max(1, int(usable / EVERY))):
        for _ in range(TRIES):
            fault = _throw(chance, kind, seconds)
            if fault is not None and _fits(fault, kind, chosen):
                chosen.append(fault)
                break
    chosen.sort(key=lambda fault: fault.at)
    return [msgspec.structs.replace(fault, number=number) for number, fault in enumerate(chosen, start=1)]


def _deck(chance: random.Random, count: int) -> Iterator[Kind]:
    """Which kinds are to be placed, the first ones first. What claims most is placed while there is room."""
    kinds = list(KINDS)
    if count < len(kinds):
        kinds = chance.sample(kinds, count)
    deck = [kind for kind in kinds for _ in range(min(TURNS, max(1, count // len(kinds))))]
    if count > len(deck):
        deck += chance.choices(KINDS, weights=[kind.weight for kind in KINDS], k=count - len(deck))
    certain = len(kinds) * TURNS
    yield from sorted(deck[:certain], key=lambda kind: (-len(kind.alone), -(kind.longest + kind.margin)))
    yield from deck[certain:]


def _throw(chance: random.Random, kind: Kind, seconds: float) -> Planned | None:
    lasting = round(chance.uniform(kind.shortest, kind.longest), 2)
    claimed = lasting + kind.margin
    latest = seconds - CALM - claimed
    if latest <= QUIET:
        return None
    at = round(chance.uniform(QUIET, latest), 2)
    return Planned(0, at, kind.name, chance.choice(kind.targets), lasting, claimed, chance.getrandbits(32))


def _fits(fault: Planned, kind: Kind, others: list[Planned]) -> bool:
    beside = [other for other in others if other.at < fault.until and fault.at < other.until]
    if any(_quarrel(fault, kind, other, BY_NAME[other.kind]) for other in beside):
        return False
    # Where most are under way at once is where one of them begins.
    moments = [fault.at, *(other.at for other in beside if other.at >= fault.at)]
    return all(sum(other.at <= at < other.until for other in beside) < MOST_AT_ONCE for at in moments)


def _quarrel(one: Planned, kind: Kind, other: Planned, its_kind: Kind) -> bool:
    mine, theirs = kind.claims(one.target), its_kind.claims(other.target)
    if "all" in mine | theirs:
        return True
    return bool(mine & theirs or mine & set(its_kind.shared) or theirs & set(kind.shared))


BY_NAME = {kind.name: kind for kind in KINDS}
