"""The vocabulary that the services share: every event with its data, as msgspec types."""

from services.shared.contracts import inventory, notifications, orders, payments, shipping
from warren_messaging.events import CONTENT_TYPE, AnyEvent, Catalogue, Event, EventData

CATALOGUE: Catalogue = {
    data.TYPE: data for module in (orders, inventory, payments, shipping, notifications) for data in module.EVENTS
}
"""Every event type of the system."""

__all__ = ["CATALOGUE", "CONTENT_TYPE", "AnyEvent", "Catalogue", "Event", "EventData"]
