"""A waiting process continues as soon as its dependencies exist, and prints what is missing."""

import asyncio

import pytest

from services.shared.chassis.settings import ProcessSettings
from services.shared.chassis.wait_for_dependencies import missing_dependency, wait
from tests.messaging_env import MessagingEnv


def settings_of(env: MessagingEnv, user: str = "probe") -> ProcessSettings:
    broker, database = env.broker_address(user), env.database_address()
    assert database.password_file is not None
    assert database.ca_file is not None
    assert broker.ca_file is not None
    return ProcessSettings(
        database_url=database.url,
        database_password_file=database.password_file,
        database_ca_file=database.ca_file,
        broker_url=broker.url,
        broker_credentials=broker.credentials,
        broker_ca_file=broker.ca_file,
    )


async def test_it_waits_for_a_queue_and_names_it(env: MessagingEnv, capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_of(env)
    assert await missing_dependency(settings, ["probe.queue"]) == ""
    waiting = asyncio.create_task(wait(settings, ["probe.queue", "late.queue"], 60))
    while "late.queue" not in capsys.readouterr().out:  # noqa: ASYNC110 - output has no event
        await asyncio.sleep(0.05)
    async with env.channel() as channel:
        await channel.queue_declare("late.queue", durable=True, arguments={"x-queue-type": "quorum"})
    async with env.management_api() as api:
        rights = {"configure": "^$", "write": "^$", "read": "^(probe|late).queue$"}
        (await api.put(f"permissions/{env.vhost}/probe", json=rights)).raise_for_status()
    assert await waiting == ""


async def test_it_waits_for_a_user_that_does_not_exist_yet(env: MessagingEnv) -> None:
    settings = settings_of(env, "stranger")
    assert "cannot read the broker username" in await wait(settings, [], 0)
    folder = env.broker_address("stranger").credentials
    folder.mkdir()
    (folder / "username").write_text("stranger")
    (folder / "password").write_text("x")
    assert "refused the user 'stranger'" in await wait(settings, [], 0)
