"""What the customers were told, kept outside of the system: what it is held to in the end."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import msgspec

from devtools.invariants import Check
from faults.chaos.workload import TOO_LATE, Wish

SHOWN = 5  # of what is wrong


class Note(msgspec.Struct, kw_only=True):
    """One line of the notebook's file."""

    at: float
    key: str
    manner: str
    order: UUID
    asked: int
    """How often, until it was accepted."""


class Notebook:
    """Every acceptance is written to `file` as soon as it is heard of."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("wb", buffering=0)
        self._written: set[str] = set()
        self.placed: dict[str, Wish] = {}
        """Whatever was asked for, by key."""
        self.accepted: dict[str, UUID] = {}
        """Key to order, for every 202."""
        self.contradictions: list[str] = []
        """Two answers to one key that differ."""
        self.odd: list[str] = []
        """Answers that nobody promised."""
        self.put_off = 0
        """Answers with 503."""
        self.unanswered = 0
        """Requests whose connection broke, or took too long."""
        self.absorbed = 0
        """Requests that were accepted again under a key that had been accepted already."""
        self.cancelling = 0
        self.refused = 0
        """Cancellations that came too late."""

    def place(self, wish: Wish) -> None:
        self.placed[wish.key] = wish

    def accept(self, wish: Wish, order: UUID, at: float, asked: int) -> None:
        known = self.accepted.setdefault(wish.key, order)
        if known != order:
            self.contradictions.append(f"{wish.key} is {known} and {order}")
        if wish.key in self._written:
            self.absorbed += 1
            return
        self._written.add(wish.key)
        note = Note(at=round(at, 3), key=wish.key, manner=wish.manner.name, order=order, asked=asked)
        self._file.write(msgspec.json.encode(note) + b"\n")

    def close(self) -> None:
        self._file.close()

    def judge(self, found: Mapping[UUID, str]) -> list[Check]:
        """`found` has every order that there is, with its end as "STATE" or "STATE (reason)"."""
        return [self._one_order_each(found), self._ends(found), self._answers()]

    def _one_order_each(self, found: Mapping[UUID, str]) -> Check:
        unheard = [key for key in self.placed if key not in self.accepted]
        unknown = found.keys() - set(self.accepted.values())
        wrong = [*self.contradictions, *(f"{key} was never accepted" for key in unheard)]
        wrong += [f"nobody was told of {order}" for order in unknown]
        if len(set(self.accepted.values())) != len(self.accepted):
            wrong.append("one order under two keys")
        detail = _some(wrong) or f"{len(self.accepted):,} keys, {self.absorbed:,} repeated requests absorbed"
        return Check("one order for each key, and none that nobody was told of", not wrong, detail)

    def _ends(self, found: Mapping[UUID, str]) -> Check:
        wrong, late = [], 0
        for key, order in self.accepted.items():
            wish, end = self.placed[key], found.get(order, "missing")
            late += end == TOO_LATE
            if end not in wish.ends:
                wrong.append(f"{key} ({wish.manner.name}) is {end}")
        detail = _some(wrong) or f"{late:,} too late for their payment"
        return Check("each order ended in a way that its customer can have meant", not wrong, detail)

    def _answers(self) -> Check:
        detail = _some(self.odd) or f"{self.put_off:,} put off with 503, {self.unanswered:,} without an answer"
        return Check("customers heard nothing but what is promised", not self.odd, detail)

    def by_manner(self) -> Counter[str]:
        return Counter(wish.manner.name for wish in self.placed.values())


def _some(wrong: list[str]) -> str:
    return "; ".join(wrong[:SHOWN]) + (f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else "")
