"""Passwords that are rotated, queues that are made anew."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.kubernetes.api_client import SECRET, condition, has, is_ready, texts_of
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.test_secrets import connects, credentials

pytestmark = pytest.mark.timeout(300)


async def test_a_rotated_user_is_replaced_and_the_former_stays_for_the_overlap(env: OperatorEnv) -> None:
    await env.operator()
    name = env.user("u")
    rotation = {"everyHours": 720, "overlapMinutes": 10}
    users = {name: {"secretName": "u", "permissions": {"read": ".*"}, "rotation": rotation}}
    await env.create("shop", users=users)
    await env.until("shop")
    first = await credentials(env, "u")
    assert first["username"] == f"{name}.1"
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="seconds")
    await env.annotate("shop", rotate=f"{soon} {name}")
    held = await env.cluster.until(SECRET, env.namespace, "u", lambda body: texts_of(body)["username"] == f"{name}.2")
    second = texts_of(held)
    assert second["previous-username"] == f"{name}.1"
    assert await connects(env, second["username"], second["password"])
    assert await connects(env, first["username"], first["password"]), "the former stays for the overlap"
    ready = await env.until("shop")
    (told,) = [each["state"] for each in ready["status"]["rotations"] if each["user"] == name]
    assert told
    assert set(await env.at_broker("users")) == {f"{name}.1", f"{name}.2"}
    assert first["password"] not in env.logs()
    assert second["password"] not in env.logs()
    assert len(await env.cluster.events(env.namespace, "PasswordRotated")) == 1


async def test_a_request_to_rotate_that_cannot_be_read_is_said(env: OperatorEnv) -> None:
    await env.operator()
    await env.create("shop", users={env.user("u"): {"secretName": "u"}})
    await env.until("shop")
    await env.annotate("shop", rotate="now")
    refused = await env.until("shop", has("InvalidSpec"))
    assert "is not a time: write" in condition(refused)["message"]
    await env.annotate("shop", rotate=None)
    await env.until("shop")


async def test_a_queue_with_messages_gets_other_arguments_when_asked_to(env: OperatorEnv) -> None:
    await env.operator()
    await env.create("shop", queues={"q": {"maxLength": 1000}})
    await env.until("shop")
    await env.publish("q", 5)
    await env.change("shop", queues={"q": {"maxLength": 2000, "argumentChange": "Migrate"}})
    await env.until("shop", lambda body: condition(body).get("reason") == "Migrating" or is_ready(body))
    await env.until("shop", seconds=150)
    queues = await env.at_broker("queues")
    assert set(queues) == {"q"}
    assert queues["q"]["arguments"]["x-max-length"] == 2000
    await env.until_broker("queues", lambda found: found["q"].get("messages") == 5)
