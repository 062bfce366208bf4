"""The events of all services as msgspec types: one module for the events of each publisher."""

from services.shared.contracts import fraud, inventory, notifications, orders, payments, shipping
from warren_messaging.events import CONTENT_TYPE, AnyEvent, Catalogue, Event, EventData

CATALOGUE: Catalogue = {
    data.TYPE: data
    for module in (orders, inventory, payments, shipping, notifications, fraud)
    for data in module.EVENTS
}
"""Every event type of the system."""

__all__ = ["CATALOGUE", "CONTENT_TYPE", "AnyEvent", "Catalogue", "Event", "EventData"]
