"""Puts the two processes together."""

from litestar.types import ControllerRouterHandler

from services.order import api, retention, store
from services.order.backlog import Backlog
from services.order.desk import Desk
from services.order.handlers import HANDLERS
from services.order.intake import Intake
from services.order.prices import PriceList
from services.order.queries import Queries
from services.order.settings import ApiSettings, WorkerSettings
from services.order.store import OrderBook
from services.shared.chassis.http.application import application
from services.shared.chassis.http.auth import AuthGuard
from services.shared.chassis.process import ServiceProcess


def build_api(settings: ApiSettings) -> ServiceProcess:
    process = ServiceProcess("order", settings)
    backlog = Backlog(process.database, settings.outbox_limit)
    prices = PriceList.read(settings.prices_file)
    desk = Desk(
        intake=Intake(process.outbox, backlog, deadline_seconds=settings.payment_deadline_seconds),
        outbox=process.outbox,
        queries=Queries(process.database),
        prices=prices,
    )
    routes: list[ControllerRouterHandler] = [api.routes(desk, AuthGuard(settings)), api.articles(prices)]
    process.serve(application(routes, title="Warren orders"))
    process.ready_when("outbox", backlog.check)
    return process


def build_worker(settings: WorkerSettings) -> ServiceProcess:
    process = ServiceProcess("order", settings)
    process.consume("order.queue", HANDLERS, OrderBook)
    process.schedule(settings.deadline_tick_seconds, "deadlines", OrderBook, store.expire_overdue)
    process.retain(*retention.retention_rules(settings.idempotency_days, settings.history_days))
    return process
