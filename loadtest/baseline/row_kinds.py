"""Three kinds of rows that represent all tables of the shop, each with a typical width and a primary key."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec

from loadtest.consumer import events
from warren_messaging import codec

_BODY = events.confirmed()


class RowKind(msgspec.Struct, frozen=True):
    """`columns(count)` returns the arguments of `insert`, one list for each column."""

    create: str
    insert: str
    columns: Callable[[int], list[list[Any]]]


def _ids(count: int) -> list[list[Any]]:
    return [["baseline"] * count, [codec.new_id() for _ in range(count)]]


def _events(count: int) -> list[list[Any]]:
    subjects, ids = [uuid4() for _ in range(count)], [codec.new_id() for _ in range(count)]
    return [["/warren/baseline"] * count, subjects, [1] * count, ids, [_BODY] * count]


def _states(count: int) -> list[list[Any]]:
    lines = ['[{"sku":"article-0042","quantity":2}]'] * count
    return [[uuid4() for _ in range(count)], ["customer"] * count, ["COMPLETED"] * count, [4200] * count, lines]


ROW_KINDS = (
    RowKind(
        "CREATE TABLE ids (consumer text, id uuid, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (consumer, id))",
        "INSERT INTO ids (consumer, id) SELECT * FROM unnest($1::text[], $2::uuid[])",
        _ids,
    ),
    RowKind(
        "CREATE TABLE events (source text, subject uuid, sequence int, id uuid NOT NULL, body bytea NOT NULL,"
        " at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (source, subject, sequence))",
        "INSERT INTO events (source, subject, sequence, id, body)"
        " SELECT * FROM unnest($1::text[], $2::uuid[], $3::int[], $4::uuid[], $5::bytea[])",
        _events,
    ),
    RowKind(
        "CREATE TABLE states (id uuid PRIMARY KEY, customer text NOT NULL, state text NOT NULL, cents bigint NOT NULL,"
        " lines jsonb NOT NULL, at timestamptz NOT NULL DEFAULT now())",
        "INSERT INTO states (id, customer, state, cents, lines) SELECT id, customer, state, cents, lines::jsonb"
        " FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[])"
        " AS new (id, customer, state, cents, lines)",
        _states,
    ),
)
