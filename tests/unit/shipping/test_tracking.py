from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.shipping.tracking import tracking_number


def test_it_is_readable_and_always_the_same() -> None:
    assert tracking_number(UUID("0192f3c1-7e6b-7cc0-8a51-3f1f6ad2b0e9")) == "WR01JBSW2ZKBFK08MM9Z3XND5C79"


@given(st.uuids())
def test_the_whole_order_id_is_in_it(order_id: UUID) -> None:
    number = tracking_number(order_id)
    # Crockford's alphabet in order, read back as digits: no two ids share a number.
    value = 0
    for character in number.removeprefix("WR"):
        value = value * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)
    assert UUID(int=value) == order_id
    assert len(number) == 28
