"""The parts of the audit service."""

from services.audit.api import routes
from services.audit.handlers import HANDLERS
from services.audit.reading import Reader
from services.audit.store import Log, forgetting
from services.shared.chassis.http import application
from services.shared.chassis.identity import STAFF, Gate, IdentitySettings
from services.shared.chassis.process import Process


def build(settings: IdentitySettings) -> Process:
    gate = Gate(settings, role=STAFF)
    process = Process("audit", settings)
    # Large batches: a batch is one insert, whatever its size, and every event of the system passes here.
    process.consume("audit.queue", HANDLERS, Log, tolerant=True, prefetch=500, batch=250)
    process.serve(application(routes(Reader(process.database), gate), title="Warren audit log", index="/audit"))
    process.forget(*forgetting(settings.history_days))
    return process
