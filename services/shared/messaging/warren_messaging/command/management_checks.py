"""The checks of `warren-messaging doctor` with the management API: arguments of queues, dead letters, bindings."""

from collections.abc import AsyncIterator
from typing import Any

from warren_messaging.command.check_result import CheckResult, failed, ok
from warren_messaging.command.management import ManagementReader
from warren_messaging.command.queue_rules import matches, problems
from warren_messaging.command.remedies import APPLY, CORRECT_OPTIONS, RECREATE
from warren_messaging.command.service_topology import NeededQueue, ServiceTopology, routing_keys
from warren_messaging.errors import ConfigurationError
from warren_messaging.sender import REDRIVE_EXCHANGE
from warren_messaging.service import Service
from warren_messaging.service_parts import ConsumerDefinition


async def check_with_management(
    service: Service, topology: ServiceTopology, management: ManagementReader
) -> AsyncIterator[CheckResult]:
    """Queues that do not exist are left out: `check_broker` reports them."""
    try:
        for consumer in service.consumers:
            arguments = await _arguments(management, consumer.queue)
            if arguments is None:
                continue
            needed = next(queue for queue in topology.own.queues if queue.name == consumer.queue)
            yield _judged(needed, arguments, consumer.retry.attempts)
            yield await _parking_lot(management, consumer.queue, arguments)
            yield await _bindings(management, consumer)
    except ConfigurationError as error:
        yield failed("management API", error, CORRECT_OPTIONS)


async def _arguments(management: ManagementReader, queue: str) -> dict[str, Any] | None:
    """The arguments of a queue, also those that a policy sets. An argument outranks a policy."""
    found = await management.queue(queue)
    if found is None:
        return None
    policy = found.get("effective_policy_definition") or {}
    arguments: dict[str, Any] = found["arguments"]
    return {f"x-{name}": value for name, value in policy.items()} | arguments


def _judged(needed: NeededQueue, arguments: dict[str, Any], attempts: int) -> CheckResult:
    check = f"arguments of {needed.name}"
    wrong = list(problems(needed, arguments, attempts))
    return failed(check, "; ".join(wrong), RECREATE) if wrong else ok(check, "fit the library")


async def _parking_lot(management: ManagementReader, queue: str, arguments: dict[str, Any]) -> CheckResult:
    """Follow a rejected message to its parking lot."""
    check = f"parking lot of {queue}"
    exchange, key = arguments.get("x-dead-letter-exchange"), arguments.get("x-dead-letter-routing-key")
    if exchange is None:
        return failed(check, "it has none: parked messages would be lost", RECREATE)
    lots = await management.destinations(exchange, key)
    if not lots:
        return failed(check, f"no queue is bound to {exchange!r} for {key!r}: parked messages would be lost", APPLY)
    for lot in lots:
        found = await _arguments(management, lot)
        wrong = ["it does not exist"] if found is None else list(problems(NeededQueue(lot), found, attempts=0))
        if wrong:
            return failed(check, f"{lot}: {'; '.join(wrong)}", APPLY if found is None else RECREATE)
    return ok(check, f"{', '.join(lots)} keeps parked messages")


async def _bindings(management: ManagementReader, consumer: ConsumerDefinition) -> CheckResult:
    check = f"bindings of {consumer.queue}"
    bindings = await management.bindings_to(consumer.queue)
    keys = [each["routing_key"] for each in bindings if each["source"] not in {"", REDRIVE_EXCHANGE}]
    missing = [type_ for type_ in routing_keys(consumer) if not any(matches(key, type_) for key in keys)]
    if missing:
        return failed(check, f"no binding for {', '.join(missing)}: the handlers would get none of them", APPLY)
    if not any(each["source"] == REDRIVE_EXCHANGE and each["routing_key"] == consumer.queue for each in bindings):
        return failed(check, f"no binding to {REDRIVE_EXCHANGE}: parked messages could not be replayed", APPLY)
    return ok(check, f"all types of its handlers: {', '.join(sorted(set(keys)))}")
