"""Assembles the two processes of the order service."""

from litestar.types import ControllerRouterHandler

from services.order import api, store
from services.order.handlers import HANDLERS
from services.order.metrics import AcceptedOrders, OrderSteps, UnfinishedOrders
from services.order.placement_batcher import OutboxLimit, PlacementBatcher
from services.order.prices import PriceList
from services.order.queries import OrderQueries
from services.order.service import OrderService
from services.order.settings import ApiSettings, WorkerSettings
from services.order.store import OrderRepository
from services.shared.chassis.http.application import application
from services.shared.chassis.http.auth import AuthGuard
from services.shared.chassis.process import ServiceProcess


def build_api(settings: ApiSettings) -> ServiceProcess:
    process = ServiceProcess("order", settings)
    limit = OutboxLimit(process.database, settings.outbox_limit)
    prices = PriceList.read(settings.prices_file)
    service = OrderService(
        batcher=PlacementBatcher(process.outbox, limit, settings.payment_terms),
        outbox=process.outbox,
        queries=OrderQueries(process.database),
        prices=prices,
    )
    routes: list[ControllerRouterHandler] = [api.routes(service, AuthGuard(settings)), api.articles(prices)]
    process.serve(application(routes, title="Warren orders"))
    process.ready_when("outbox", limit.check)
    process.listen(AcceptedOrders(process.metrics.registry))
    return process


def build_worker(settings: WorkerSettings) -> ServiceProcess:
    process = ServiceProcess("order", settings)
    process.consume("order.queue", HANDLERS, OrderRepository)
    process.periodic("deadlines", settings.deadline_tick_seconds, store.expire_overdue, OrderRepository)
    process.listen(OrderSteps(process.metrics.registry))
    process.metrics.on_scrape(UnfinishedOrders(process.database, process.metrics.registry).refresh)
    process.retain(*store.retention_rules(settings.idempotency_days, settings.history_days))
    return process
