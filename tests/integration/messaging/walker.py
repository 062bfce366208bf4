"""Walks through one table until it is killed or done: python -m tests.integration.messaging.walker SETTING"""

import asyncio
import sys

import msgspec

from warren_messaging.postgres.database import Database, DatabaseAddress
from warren_messaging.postgres.retention import Retention, RetentionRule, RetentionSettings
from warren_messaging.telemetry import LogTelemetry


class Setting(msgspec.Struct):
    database: DatabaseAddress
    rule: RetentionRule
    settings: RetentionSettings


async def run(setting: Setting) -> None:
    database = Database(setting.database)
    await database.open()
    retention = Retention(database, LogTelemetry("probe"), [setting.rule], setting.settings)
    await retention.sweep(setting.rule)
    await database.close()


if __name__ == "__main__":
    asyncio.run(run(msgspec.json.decode(sys.argv[1], type=Setting, dec_hook=lambda kind, value: kind(value))))
