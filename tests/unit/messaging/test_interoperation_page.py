"""docs/interoperation.md lists the attributes and properties that messages have, and no others."""

import re
from pathlib import Path
from uuid import uuid4

import msgspec
from aiormq import spec

from services.shared.contracts.orders import OrderCompleted
from warren_messaging import MAX_BODY, encode
from warren_messaging.amqp.publisher import properties_of
from warren_messaging.events import CONTENT_TYPE, Event
from warren_messaging.outbox.relay import message_of
from warren_messaging.testing import event_of

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "interoperation.md").read_text()
SCHEMA = msgspec.json.schema(Event[OrderCompleted])
EVENT = next(schema for name, schema in SCHEMA["$defs"].items() if name.startswith("Event"))
"""JSON schema of the envelope."""


def rows(table: str) -> dict[str, list[str]]:
    """The cells after the first one, by the name in the first."""
    block = TEXT.split(f"<!-- {table} -->")[1].split(f"<!-- end of {table} -->")[0]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.strip().splitlines()[2:]]
    return {row[0].strip(" |`"): row[1:] for row in cells}


def names_of(traceparent: str | None, priority: int | None, expires_ms: int | None) -> set[str]:
    """Return the properties of a message as a client decodes them."""
    event = event_of(OrderCompleted(customer="ada"), subject=uuid4(), traceparent=traceparent, priority=priority)
    message = message_of(event, encode(event), "order.exchange", expires_ms)
    tail = b"\x01t\x01u\x01a"
    properties = spec.Basic.Properties()
    encoded = properties_of(message, tail)
    properties.unmarshal(int.from_bytes(encoded[:2]), encoded[2:])
    assert properties.content_type == CONTENT_TYPE
    return {name for name in spec.Basic.Properties.attributes() if getattr(properties, name)}


def test_every_attribute_is_listed_with_its_necessity() -> None:
    required = {name: "yes" if name in EVENT["required"] else "no" for name in EVENT["properties"]}
    assert {name: cells[0] for name, cells in rows("attributes").items()} == required


def test_limits_of_attributes_are_those_of_the_code() -> None:
    listed = rows("attributes")
    for name, schema in EVENT["properties"].items():
        schema = next((each for each in schema.get("anyOf", ()) if each != {"type": "null"}), schema)  # noqa: PLW2901
        if "maxLength" in schema:
            assert f"{schema['maxLength']} characters" in listed[name][1], name
        if schema.get("format") == "uuid":
            assert "UUID" in listed[name][1], name
    assert f"{EVENT['properties']['priority']['anyOf'][0]['maximum']}" in listed["priority"][1]
    assert EVENT["properties"]["sourcesequence"]["maximum"] == 2**31 - 1
    assert f"at most {MAX_BODY // 1024**2} MiB" in TEXT


def test_every_property_is_listed() -> None:
    listed = rows("properties")
    assert names_of("00-1-2-01", 4, 5) == listed.keys()
    assert names_of(None, None, None) == {name for name, cells in listed.items() if cells[1] == "always"}


def test_every_example_is_listed() -> None:
    folder = Path(__file__).resolve().parents[3] / "docs" / "examples" / "interop"
    linked = set(re.findall(r"\]\(examples/interop/(\w+\.py)\)", TEXT))
    assert linked == {file.name for file in folder.glob("*.py")}
