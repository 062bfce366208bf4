"""The parts of the example service."""

from typing import Annotated

from litestar import get
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler, Guard

from docs.examples.loyalty.handlers import HANDLERS
from docs.examples.loyalty.store import Earnings, points_of
from services.shared.chassis.http.application import application
from services.shared.chassis.http.auth import STAFF, AuthGuard, AuthSettings
from services.shared.chassis.process import ServiceProcess
from warren_messaging import Database


def build(settings: AuthSettings) -> ServiceProcess:
    process = ServiceProcess("loyalty", settings)
    process.consume("loyalty.queue", HANDLERS, Earnings)
    process.serve(application([points(process.database, AuthGuard(settings, role=STAFF))], title="Loyalty points"))
    return process


def points(database: Database, guard: Guard) -> ControllerRouterHandler:
    @get("/points/{customer:str}", summary="All points of a customer", guards=[guard])
    async def read(customer: Annotated[str, PathParameter(max_length=100)]) -> dict[str, int]:
        return {"points": await points_of(database, customer)}

    return read
