"""The checks of `warren-messaging doctor` at the database."""

from collections.abc import AsyncIterator

from warren_messaging.command.check_result import CheckResult, failed, ok
from warren_messaging.errors import MessagingError
from warren_messaging.postgres import inspection, migrations
from warren_messaging.postgres.database import DatabaseAddress
from warren_messaging.transaction import Connection

MAX_CLOCK_DIFFERENCE = 5.0  # seconds
OLD_EVENT = 60.0  # seconds; a working relay publishes within a second


async def check_database(address: DatabaseAddress, target: str) -> AsyncIterator[CheckResult]:
    """`target` is the service as the command line names it, for remedies."""
    try:
        async with migrations.connected(address) as connection:
            yield ok("database connection", f"connected to {address.location}")
            yield _version(connection)
            async for result in _schema(connection, target):
                yield result
            yield judge_clock(await inspection.clock_difference(connection))
    except MessagingError as error:
        yield failed("database connection", error, "correct the address, role or password of the database, or start it")


def _version(connection: Connection) -> CheckResult:
    found = connection.get_server_version().major
    if found >= inspection.MIN_SERVER_VERSION:
        return ok("database version", f"PostgreSQL {found}")
    wanted = inspection.MIN_SERVER_VERSION
    return failed("database version", f"PostgreSQL {found}", f"upgrade the server to PostgreSQL {wanted} or newer")


async def _schema(connection: Connection, target: str) -> AsyncIterator[CheckResult]:
    status = await migrations.status(connection)
    latest = migrations.shipped()[-1].version
    if status.pending:
        names = ", ".join(each.name for each in status.pending)
        remedy = f"warren-messaging migrations apply {target}, as the owner of the tables"
        yield failed("database schema", f"not applied in schema {status.schema!r}: {names}", remedy)
        return
    newer = f"; a newer release has applied {', '.join(status.unknown)}" if status.unknown else ""
    yield ok("database schema", f"schema {status.schema!r} is at version {latest}{newer}")
    lacking = await inspection.missing_rights(connection)
    if lacking:
        remedy = "as the owner of the tables: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA … TO …"
        yield failed("database rights", f"the role lacks {', '.join(lacking)}", remedy)
        return
    yield ok("database rights", "the role may read and write the library's tables")
    yield _outbox(await inspection.unpublished(connection, OLD_EVENT))


def _outbox(found: inspection.UnpublishedEvents) -> CheckResult:
    if not found.count:
        return ok("outbox", f"no event has waited for more than {OLD_EVENT:.0f} s")
    detail = f"{found.count} events wait to be published, the oldest since {found.oldest_seconds:.0f} s"
    if found.reason is None:
        return failed("outbox", detail, "start the service: its relay publishes them once it reaches the broker")
    return failed(
        "outbox", f"{detail}: {found.reason}", "remove that cause at the broker; the relay tries again by itself"
    )


def judge_clock(ahead: float) -> CheckResult:
    detail = f"the database's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} the clock here"
    if abs(ahead) <= MAX_CLOCK_DIFFERENCE:
        return ok("clocks", detail)
    return failed(
        "clocks", detail, "synchronize both with NTP: events carry the time of the process that announces them"
    )
