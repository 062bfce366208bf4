"""A step of a saga with its compensation: reserves a seat for a trip, and releases it when the trip is cancelled.

The two events may arrive in any order. A trip has one row, which a cancellation creates if it comes first.
"""

from collections.abc import Iterable
from typing import ClassVar

from warren_messaging import Event, EventData, Handlers, Service, Transaction


class TripBooked(EventData, frozen=True):
    TYPE: ClassVar[str] = "trip.booked"
    flight: str


class TripCancelled(EventData, frozen=True):
    TYPE: ClassVar[str] = "trip.cancelled"


class SeatReserved(EventData, frozen=True):
    TYPE: ClassVar[str] = "seats.reserved"
    flight: str


class SeatRefused(EventData, frozen=True):
    TYPE: ClassVar[str] = "seats.refused"
    flight: str


class SeatReleased(EventData, frozen=True):
    TYPE: ClassVar[str] = "seats.released"
    flight: str


async def on_trip_booked(event: Event[TripBooked], uow: Transaction) -> Iterable[EventData]:
    new, flight = "INSERT INTO trips (id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id", event.data.flight
    if await uow.connection.fetchval(new, event.subject) is None:
        return ()  # cancelled already
    take = "UPDATE flights SET free = free - 1 WHERE name = $1 AND free > 0 RETURNING name"
    if await uow.connection.fetchval(take, flight) is None:
        return [SeatRefused(flight=flight)]
    await uow.connection.execute("UPDATE trips SET flight = $2 WHERE id = $1", event.subject, flight)
    return [SeatReserved(flight=flight)]


async def on_trip_cancelled(event: Event[TripCancelled], uow: Transaction) -> Iterable[EventData]:
    await uow.connection.execute("INSERT INTO trips (id) VALUES ($1) ON CONFLICT DO NOTHING", event.subject)
    release = "UPDATE flights SET free = free + 1 FROM trips WHERE id = $1 AND name = flight RETURNING name"
    flight = await uow.connection.fetchval(release, event.subject)
    await uow.connection.execute("UPDATE trips SET flight = NULL WHERE id = $1", event.subject)
    return [] if flight is None else [SeatReleased(flight=flight)]


HANDLERS: Handlers[Transaction] = {TripBooked: on_trip_booked, TripCancelled: on_trip_cancelled}
service = Service.from_environment("seats", prefix="SEATS_", events=[SeatReserved, SeatRefused, SeatReleased])
service.consume("seats.queue", HANDLERS)

if __name__ == "__main__":
    service.run()
