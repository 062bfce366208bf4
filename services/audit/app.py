"""The parts of the audit service."""

from services.audit.api import routes
from services.audit.handlers import HANDLERS
from services.audit.reading import Reader
from services.audit.store import Log, retention_rules
from services.shared.chassis.http.application import application
from services.shared.chassis.http.auth import STAFF, AuthGuard, AuthSettings
from services.shared.chassis.process import ServiceProcess


def build(settings: AuthSettings) -> ServiceProcess:
    guard = AuthGuard(settings, role=STAFF)
    process = ServiceProcess("audit", settings)
    # Large batches: a batch is one insert, whatever its size, and every event of the system passes here.
    process.consume("audit.queue", HANDLERS, Log, tolerant=True, prefetch=500, batch=250)
    process.serve(application(routes(Reader(process.database), guard), title="Warren audit log", index="/audit"))
    process.retain(*retention_rules(settings.history_days))
    return process
