"""Three kinds of rows that stand for all of the shop's tables, each of a typical width and with a primary key."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec

from loadtest.consumer import load
from warren_messaging import codec

_BODY = load.confirmed()


class Kind(msgspec.Struct, frozen=True):
    """`columns` makes so many rows, column by column, for `insert`."""

    create: str
    insert: str
    columns: Callable[[int], list[list[Any]]]


def _marks(count: int) -> list[list[Any]]:
    return [["floor"] * count, [codec.new_id() for _ in range(count)]]


def _events(count: int) -> list[list[Any]]:
    return [
        ["/warren/floor"] * count,
        [uuid4() for _ in range(count)],
        [1] * count,
        [codec.new_id() for _ in range(count)],
        [_BODY] * count,
    ]


def _states(count: int) -> list[list[Any]]:
    return [
        [uuid4() for _ in range(count)],
        ["customer"] * count,
        ["COMPLETED"] * count,
        [4200] * count,
        ['[{"sku":"article-0042","quantity":2}]'] * count,
    ]


KINDS = (
    Kind(
        "CREATE TABLE marks (consumer text, id uuid, at timestamptz NOT NULL DEFAULT now(),"
        " PRIMARY KEY (consumer, id))",
        "INSERT INTO marks (consumer, id) SELECT * FROM unnest($1::text[], $2::uuid[])",
        _marks,
    ),
    Kind(
        "CREATE TABLE events (source text, subject uuid, sequence int, id uuid NOT NULL, body bytea NOT NULL,"
        " at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (source, subject, sequence))",
        "INSERT INTO events (source, subject, sequence, id, body)"
        " SELECT * FROM unnest($1::text[], $2::uuid[], $3::int[], $4::uuid[], $5::bytea[])",
        _events,
    ),
    Kind(
        "CREATE TABLE states (id uuid PRIMARY KEY, customer text NOT NULL, state text NOT NULL, cents bigint NOT NULL,"
        " lines jsonb NOT NULL, at timestamptz NOT NULL DEFAULT now())",
        "INSERT INTO states (id, customer, state, cents, lines) SELECT id, customer, state, cents, lines::jsonb"
        " FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[])"
        " AS new (id, customer, state, cents, lines)",
        _states,
    ),
)
