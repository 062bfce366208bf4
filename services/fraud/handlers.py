"""Event handlers of the fraud service."""

from collections.abc import Iterable

from services.fraud import domain
from services.fraud.store import AssessmentRepository
from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderCreated
from warren_messaging.handlers import Handlers


async def on_order_created(event: Event[OrderCreated], repository: AssessmentRepository) -> Iterable[EventData]:
    limits, order = repository.limits, event.data
    assessment = domain.assess(event.subject, event.reference, order, repository.earlier(order.customer), limits)
    repository.add(assessment)
    return domain.announcements(assessment, limits)


HANDLERS: Handlers[AssessmentRepository] = {OrderCreated: on_order_created}
