"""Applies one retention rule until it ends or is killed:

python -m tests.integration.messaging.postgres.retention_process SETTINGS
"""

import asyncio
import sys

import msgspec

from warren_messaging.postgres.database import Database, DatabaseAddress
from warren_messaging.postgres.retention import Retention, RetentionRule, RetentionSettings
from warren_messaging.telemetry import LogTelemetry


class RetentionProcessSettings(msgspec.Struct):
    database: DatabaseAddress
    rule: RetentionRule
    settings: RetentionSettings


async def run(settings: RetentionProcessSettings) -> None:
    database = Database(settings.database)
    await database.open()
    retention = Retention(database, LogTelemetry(), [settings.rule], settings.settings)
    await retention.sweep(settings.rule)
    await database.close()


if __name__ == "__main__":
    given = msgspec.json.decode(sys.argv[1], type=RetentionProcessSettings, dec_hook=lambda kind, value: kind(value))
    asyncio.run(run(given))
