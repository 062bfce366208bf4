"""Assembles the audit service."""

from services.audit.api import routes
from services.audit.handlers import HANDLERS
from services.audit.queries import AuditQueries
from services.audit.store import EventLog, retention_rules
from services.shared.chassis.http.application import application
from services.shared.chassis.http.auth import STAFF, AuthGuard, AuthSettings
from services.shared.chassis.process import ServiceProcess


def build(settings: AuthSettings) -> ServiceProcess:
    guard = AuthGuard(settings, role=STAFF)
    process = ServiceProcess("audit", settings)
    # Large batches: all events of the system come here, and a batch of any size is one INSERT.
    process.consume("audit.queue", HANDLERS, EventLog, tolerant=True, prefetch=500, batch=250)
    process.serve(application(routes(AuditQueries(process.database), guard), title="Warren audit log", index="/audit"))
    process.retain(*retention_rules(settings.history_days))
    return process
