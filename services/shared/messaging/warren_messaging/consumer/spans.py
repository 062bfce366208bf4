"""The spans of one batch of deliveries."""

from types import TracebackType

from opentelemetry.trace import Link, Span, SpanContext, SpanKind

from warren_messaging import tracing
from warren_messaging.codec import uuid_text
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.delivery import Delivery
from warren_messaging.events import AnyEvent

_OUTCOMES = {Verdict.RETRY: "retried", Verdict.DEAD_LETTER: "parked", Verdict.RELEASE: "released"}


class BatchSpans:
    """One span `process` for each delivery whose trace is recorded, from the beginning of its batch to its verdict.

    It is a child of the publish and linked to it. A batch with several of them has a span `receive` too, a child of the
    first publish, and linked to each of them.

    As a context manager, it ends the spans of deliveries that got no verdict.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._enabled = tracing.enabled()
        self._first: tuple[Span, Link] | None = None
        """The first span, and the link to its publish."""
        self._receive: Span | None = None
        self._started: list[Span] = []

    def __enter__(self) -> "BatchSpans":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for span in self._started:
            if span.is_recording():
                if error is not None:
                    tracing.fail(span, error)
                self.end(span, Verdict.RELEASE)
        if self._receive is not None:
            tracing.end(self._receive)

    def start(self, delivery: Delivery, event: AnyEvent | None) -> Span | None:
        """Start the span of a delivery. `event` is None if its body cannot be read."""
        if not self._enabled or (event is not None and tracing.is_unsampled(event.traceparent)):
            return None
        creation = tracing.parse(delivery.traceparent) or tracing.parse(event.traceparent if event else None)
        destination = (delivery.exchange, delivery.routing_key, delivery.queue)
        message_id = None if event is None else uuid_text(event.id)
        links = [] if creation is None else [Link(creation)]
        link = None
        if self._size > 1 and creation is not None and creation.trace_flags.sampled:
            link = Link(creation, _message_attributes(message_id))
        if link is not None and self._first is not None:
            links.append(Link(self._receive_span(self._first, delivery.queue, link)))
        attributes = {
            "messaging.message.id": message_id,
            "messaging.message.conversation_id": None if event is None else uuid_text(event.subject),
            "messaging.rabbitmq.message.delivery_tag": delivery.tag,
        }
        span = tracing.start_span("process", "process", SpanKind.CONSUMER, destination, creation, attributes, links)
        self._started.append(span)
        if link is not None and self._first is None:
            self._first = (span, link)
        return span

    def _receive_span(self, first: tuple[Span, Link], queue: str, link: Link) -> SpanContext:
        """Link the span of the batch to a further publish. It starts with the second one."""
        if self._receive is None:
            first_span, first_link = first
            counted = {"messaging.batch.message_count": self._size}
            self._receive = tracing.start_span(
                "receive", "receive", SpanKind.CLIENT, ("", "", queue), first_link.context, counted, [first_link, link]
            )
            if first_span.is_recording():  # that of a refused delivery has ended
                first_span.add_link(self._receive.get_span_context())
        else:
            self._receive.add_link(link.context, link.attributes)
        return self._receive.get_span_context()

    @staticmethod
    def end(span: Span | None, verdict: Verdict) -> None:
        """End the span of a delivery, with its outcome unless it was processed."""
        if span is None:
            return
        if verdict is not Verdict.ACK:
            span.set_attribute("warren.outcome", _OUTCOMES[verdict])
        tracing.end(span)


def _message_attributes(message_id: str | None) -> dict[str, str]:
    return {} if message_id is None else {"messaging.message.id": message_id}
