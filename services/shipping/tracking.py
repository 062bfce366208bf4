"""Tracking numbers: the order's id, written so that people can read it out.

`WR` and 26 characters of Crockford's base 32, which has no I, L, O or U. All 128 bits of the id are in it, so two
orders never share a number and nobody has to remember which were given.
"""

from uuid import UUID

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26  # 5 bits each


def tracking_number(order_id: UUID) -> str:
    number = order_id.int
    return "WR" + "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
