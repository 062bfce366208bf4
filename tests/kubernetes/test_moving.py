"""Passwords that are rotated, queues that are made anew."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.kubernetes.cluster import SECRET, condition, has, is_ready, texts_of
from tests.kubernetes.site import Site
from tests.kubernetes.test_secrets import connects, credentials

pytestmark = pytest.mark.timeout(300)


async def test_a_rotated_user_is_replaced_and_the_former_stays_for_the_overlap(place: Site) -> None:
    await place.operator()
    name = place.user("u")
    rotation = {"everyHours": 720, "overlapMinutes": 10}
    users = {name: {"secretName": "u", "permissions": {"read": ".*"}, "rotation": rotation}}
    await place.create("shop", users=users)
    await place.until("shop")
    first = await credentials(place, "u")
    assert first["username"] == f"{name}.1"
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="seconds")
    await place.annotate("shop", rotate=f"{soon} {name}")
    held = await place.cluster.until(
        SECRET, place.namespace, "u", lambda body: texts_of(body)["username"] == f"{name}.2"
    )
    second = texts_of(held)
    assert second["previous-username"] == f"{name}.1"
    assert await connects(place, second["username"], second["password"])
    assert await connects(place, first["username"], first["password"]), "the former stays for the overlap"
    ready = await place.until("shop")
    (told,) = [each["state"] for each in ready["status"]["rotations"] if each["user"] == name]
    assert told
    assert set(await place.at_broker("users")) == {f"{name}.1", f"{name}.2"}
    assert first["password"] not in place.logs()
    assert second["password"] not in place.logs()
    assert len(await place.cluster.events(place.namespace, "PasswordRotated")) == 1


async def test_a_request_to_rotate_that_cannot_be_read_is_said(place: Site) -> None:
    await place.operator()
    await place.create("shop", users={place.user("u"): {"secretName": "u"}})
    await place.until("shop")
    await place.annotate("shop", rotate="now")
    refused = await place.until("shop", has("Invalid"))
    assert "is no time: write" in condition(refused)["message"]
    await place.annotate("shop", rotate=None)
    await place.until("shop")


async def test_a_queue_with_messages_gets_other_arguments_when_asked_to(place: Site) -> None:
    await place.operator()
    await place.create("shop", queues={"q": {"maxLength": 1000}})
    await place.until("shop")
    await place.publish("q", 5)
    await place.change("shop", queues={"q": {"maxLength": 2000, "argumentChange": "Migrate"}})
    await place.until("shop", lambda body: condition(body).get("reason") == "Migrating" or is_ready(body))
    await place.until("shop", seconds=150)
    queues = await place.at_broker("queues")
    assert set(queues) == {"q"}
    assert queues["q"]["arguments"]["x-max-length"] == 2000
    await place.until_broker("queues", lambda found: found["q"].get("messages") == 5)
