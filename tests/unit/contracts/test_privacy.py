"""Values that a contract marks as secret or personal are removed."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.contracts import CATALOGUE
from services.shared.contracts.privacy import redacted

GOLDEN = Path(__file__).parents[2] / "contracts" / "golden"
MARKED = {
    "order.created": {"paymentToken", "email", "phone"},
    "inventory.reserved": {"paymentToken"},
    "notification.requested": {"email"},
}


@pytest.mark.parametrize("event_type", CATALOGUE)
def test_only_marked_values_are_removed(event_type: str) -> None:
    body = (GOLDEN / f"{event_type}.json").read_bytes()
    kept = redacted(body, CATALOGUE[event_type])
    if event_type not in MARKED:
        assert kept == body
        return
    before, after = (dict(_leaves(msgspec.json.decode(each))) for each in (body, kept))
    assert {path[-1] for path in before if before[path] != after[path]} == MARKED[event_type]
    assert {after[path] for path in before if path[-1] in MARKED[event_type]} == {"***"}
    assert redacted(kept, CATALOGUE[event_type]) == kept


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b'{"paymentToken":["tok"],"lines":[1e2,  3]}', b'{"paymentToken":"***","lines":[1e2,  3]}'),
        (b'{"paymentToken":"a","paymentToken":"b"}', b'{"paymentToken":"***"}'),
        (b'{"contact":"ada@example.org"}', b'{"contact":"***"}'),
        (b'{"contact":null}', b'{"contact":null}'),
        (b'{"contact":{"email":null,"fax":"1"}}', b'{"contact":{"email":null,"fax":"1"}}'),
        (b'{"contact":[{"email":"a"}]}', b'{"contact":[{"email":"***"}]}'),
        (b'"tok_ok"', b'"***"'),
        (b"12345678901234567890123", b'"***"'),
        (b'{"contact":{"email":1e999}}', b'{"contact":{"email":"***"}}'),
        (b"{}", b"{}"),
    ],
)
def test_marked_values_are_removed_from_invalid_data(data: bytes, kept: bytes) -> None:
    assert redacted(b'{"data":' + data + b"}", CATALOGUE["order.created"]) == b'{"data":' + kept + b"}"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["contact", "email", "paymentToken", "x"]), inner)
        ),
    )
)
def test_any_json_can_be_redacted(data: object) -> None:
    body = msgspec.json.encode({"data": data})
    assert redacted(redacted(body, CATALOGUE["order.created"]), CATALOGUE["order.created"]) == redacted(
        body, CATALOGUE["order.created"]
    )


def _leaves(value: object, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    if isinstance(value, dict):
        return [leaf for name, each in value.items() for leaf in _leaves(each, (*path, name))]
    return [(path, msgspec.json.encode(value).decode().strip('"'))]
