"""The parts of the audit service."""

from services.audit.api import routes
from services.audit.handlers import HANDLERS
from services.audit.reading import Reader
from services.audit.store import Log
from services.shared.chassis.environment import ProcessSettings
from services.shared.chassis.http import application
from services.shared.chassis.process import Process
from services.shared.messaging.errors import ConfigurationError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def build(settings: ProcessSettings) -> Process:
    if settings.http_host not in LOOPBACK:
        raise ConfigurationError(
            f"settings: WARREN_HTTP_HOST={settings.http_host!r}: the log is shown without a token, so only on this"
            " machine"
        )
    process = Process("audit", settings)
    # Large batches: a batch is one insert, whatever its size, and every event of the system passes here.
    process.consume("audit.queue", HANDLERS, Log, tolerant=True, prefetch=500, batch=250)
    process.serve(application(routes(Reader(process.database)), title="Warren audit log"))
    return process
