"""Password rotation, and migration of queues."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.kubernetes.api_client import condition, has_reason, is_ready
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.test_secrets import can_connect

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("operator")]


async def test_a_rotated_user_is_replaced_and_the_former_user_stays_for_the_overlap(env: OperatorEnv) -> None:
    name = env.user("u")
    rotation = {"everyHours": 720, "overlapMinutes": 10}
    users = {name: {"secretName": "u", "permissions": {"read": ".*"}, "rotation": rotation}}
    await env.create_ready("shop", users=users)
    first = await env.secret("u")
    assert first["username"] == f"{name}.1"
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="seconds")
    await env.annotate("shop", rotate=f"{soon} {name}")
    second = await env.wait_until_secret("u", lambda secret: secret["username"] == f"{name}.2")
    assert second["previous-username"] == f"{name}.1"
    assert await can_connect(env, second)
    assert await can_connect(env, first), "the previous user was deleted before the overlap ended"
    ready = await env.wait_until_ready("shop")
    (state,) = [each["state"] for each in ready["status"]["rotations"] if each["user"] == name]
    assert state
    assert set(await env.at_broker("users")) == {f"{name}.1", f"{name}.2"}
    assert first["password"] not in env.logs()
    assert second["password"] not in env.logs()
    assert len(await env.events("PasswordRotated")) == 1


async def test_an_invalid_rotation_request_is_reported(env: OperatorEnv) -> None:
    await env.create_ready("shop", users={env.user("u"): {"secretName": "u"}})
    await env.annotate("shop", rotate="now")
    refused = await env.wait_until("shop", has_reason("InvalidSpec"))
    assert "is not a time: write" in condition(refused)["message"]
    await env.annotate("shop", rotate=None)
    await env.wait_until_ready("shop")


async def test_a_queue_with_messages_is_migrated_to_other_arguments(env: OperatorEnv) -> None:
    await env.create_ready("shop", queues={"q": {"maxLength": 1000}})
    await env.publish("q", 5)
    await env.change("shop", queues={"q": {"maxLength": 2000, "argumentChange": "Migrate"}})
    await env.wait_until("shop", lambda body: condition(body).get("reason") == "Migrating" or is_ready(body))
    await env.wait_until_ready("shop", seconds=150)
    queues = await env.at_broker("queues")
    assert set(queues) == {"q"}
    assert queues["q"]["arguments"]["x-max-length"] == 2000
    await env.wait_until_broker("queues", lambda found: found["q"].get("messages") == 5)
