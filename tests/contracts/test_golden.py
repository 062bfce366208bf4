"""The wire format of every event, fixed by files: a change here is a change for every consumer.

To add an event, write its file by hand from the contract, then make this test agree.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from services.shared.contracts import CATALOGUE, Event
from warren_messaging.codec import Codec, encode

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.json"))


def test_every_event_has_its_file() -> None:
    assert {file.stem for file in FILES} == set(CATALOGUE)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_event_is_encoded_as_its_golden_file(file: Path) -> None:
    golden = json.loads(file.read_text())
    event = Codec(CATALOGUE).decode(file.read_bytes())
    assert type(event.data) is CATALOGUE[file.stem]
    assert json.loads(encode(event)) == golden


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_reader_ignores_fields_that_a_newer_writer_adds(file: Path) -> None:
    golden = json.loads(file.read_text())
    newer = {**golden, "newattribute": 1, "data": {**golden["data"], "newField": {"deep": True}}}
    codec = Codec(CATALOGUE)
    assert codec.decode(json.dumps(newer).encode()) == codec.decode(file.read_bytes())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_envelope_is_cloudevents_1_0(file: Path) -> None:
    """Names and types of CloudEvents 1.0.2, sections "Context Attributes" and "Type System"."""
    golden = json.loads(file.read_text())
    data = golden.pop("data")
    assert {"specversion", "id", "source", "type"} <= set(golden)
    assert golden["specversion"] == "1.0"
    assert isinstance(data, dict)
    for name, value in golden.items():
        assert name.isalnum(), name
        assert name.islower(), name
        assert len(name) <= 20, name
        assert isinstance(value, str | int | bool), name
    datetime.fromisoformat(golden["time"])
    UUID(golden["id"])


def test_times_are_written_in_utc() -> None:
    event = Codec(CATALOGUE).decode((GOLDEN / "order.created.json").read_bytes())
    moved = msgspec.structs.replace(event, time=datetime(2026, 1, 1, 12, tzinfo=UTC))
    assert json.loads(encode(moved))["time"] == "2026-01-01T12:00:00Z"
    assert isinstance(moved, Event)
