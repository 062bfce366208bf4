"""Customers' wishes and notes: what they hold the system to."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.invariants import Check
from faults.chaos.ledger import Notebook
from faults.chaos.workload import MANNERS, TOO_LATE, Wish, opening_stock, wishes

BY_NAME = {manner.name: manner for manner in MANNERS}


def wish(key: str, manner: str = "ordinary") -> Wish:
    return Wish(0.0, BY_NAME[manner], key, {}, None, 1)


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    book = Notebook(tmp_path / "accepted.jsonl")
    yield book
    book.close()


def judged(notebook: Notebook, found: dict[uuid.UUID, str]) -> list[bool]:
    checks: list[Check] = notebook.judge(found)
    assert all(check.detail for check in checks)
    return [check.held for check in checks]


def test_a_seed_names_the_wishes() -> None:
    assert list(wishes(3, 20, 12)) == list(wishes(3, 20, 12))
    assert list(wishes(3, 20, 12)) != list(wishes(4, 20, 12))


def test_ten_minutes_bring_more_than_five_thousand_orders_of_every_manner() -> None:
    placed = list(wishes(1, 600, 12))
    assert len(placed) > 6500
    assert {each.manner.name for each in placed} == set(BY_NAME)
    assert len({each.key for each in placed}) == len(placed)
    assert {item["sku"] for each in placed for item in each.body["items"]} <= set(opening_stock())


def test_all_is_well(notebook: Notebook, tmp_path: Path) -> None:
    one, other = uuid.uuid4(), uuid.uuid4()
    for each, order in ((wish("a"), one), (wish("b", "declined"), other)):
        notebook.place(each)
        notebook.accept(each, order, 1.0, 1)
    assert judged(notebook, {one: "COMPLETED", other: "CANCELLED (payment_failed)"}) == [True, True, True]
    assert judged(notebook, {one: TOO_LATE, other: TOO_LATE}) == [True, True, True]
    assert (tmp_path / "accepted.jsonl").read_text().count("\n") == 2


def test_one_key_and_two_orders(notebook: Notebook) -> None:
    one, other = uuid.uuid4(), uuid.uuid4()
    notebook.place(wish("a"))
    notebook.accept(wish("a"), one, 1.0, 1)
    notebook.accept(wish("a"), other, 1.0, 2)
    assert judged(notebook, {one: "COMPLETED", other: "COMPLETED"})[0] is False


def test_the_same_answer_again_is_absorbed(notebook: Notebook) -> None:
    one = uuid.uuid4()
    notebook.place(wish("a"))
    notebook.accept(wish("a"), one, 1.0, 1)
    notebook.accept(wish("a"), one, 1.0, 2)
    assert judged(notebook, {one: "COMPLETED"}) == [True, True, True]
    assert notebook.absorbed == 1


@pytest.mark.parametrize(
    ("manner", "end"),
    [
        ("ordinary", "CANCELLED (customer)"),
        ("ordinary", "CANCELLED (out_of_stock)"),
        ("declined", "COMPLETED"),
        ("out of stock", "COMPLETED"),
        ("never pays", "COMPLETED"),
        ("cancels at once", "CANCELLED (payment_failed)"),
        ("ordinary", "PENDING"),
    ],
)
def test_an_end_that_nobody_wished_for(notebook: Notebook, manner: str, end: str) -> None:
    one = uuid.uuid4()
    notebook.place(wish("a", manner))
    notebook.accept(wish("a", manner), one, 1.0, 1)
    assert judged(notebook, {one: end}) == [True, False, True]


def test_lost_and_unknown_orders(notebook: Notebook) -> None:
    one = uuid.uuid4()
    notebook.place(wish("a"))
    notebook.accept(wish("a"), one, 1.0, 1)
    assert judged(notebook, {}) == [True, False, True]
    assert judged(notebook, {one: "COMPLETED", uuid.uuid4(): "COMPLETED"}) == [False, True, True]


def test_a_request_that_was_never_accepted(notebook: Notebook) -> None:
    notebook.place(wish("a"))
    assert judged(notebook, {}) == [False, True, True]


def test_an_answer_that_nobody_promised(notebook: Notebook) -> None:
    notebook.odd.append("500 at 3.0 s for /orders")
    assert judged(notebook, {}) == [True, True, False]
