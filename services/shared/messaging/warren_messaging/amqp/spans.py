"""The spans of publishing."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from opentelemetry.trace import Span, SpanKind

from warren_messaging import tracing
from warren_messaging.amqp.pipeline import PublishResult

_REASONS = {PublishResult.RETURNED: "no queue took it", PublishResult.REFUSED: "a queue refused it"}


class PublishSpans:
    """One span `publish` for each message whose trace is recorded, from its write to the broker's answer.

    As a context manager, it ends all of them with the error of its block: each message may or may not have arrived.
    """

    def __init__(self) -> None:
        self._enabled = tracing.enabled()
        self._spans: list[Span | None] = []

    def start(
        self, exchange: str, routing_key: str, parent: str | None, message_id: str, conversation_id: str | None
    ) -> str | None:
        """Start the span of the next message. Returns the context for its header: that of the span, else `parent`."""
        if not self._enabled:
            return parent
        if tracing.is_unsampled(parent):
            self._spans.append(None)
            return parent
        span = tracing.start_span(
            "publish",
            "send",
            SpanKind.PRODUCER,
            (exchange, routing_key, ""),
            tracing.parse(parent),
            {"messaging.message.id": message_id, "messaging.message.conversation_id": conversation_id},
        )
        self._spans.append(span)
        context = span.get_span_context()
        return tracing.format_traceparent(context) if context.is_valid else parent

    def end(self, results: Sequence[PublishResult | Exception]) -> None:
        """End the spans with the answers, in the order of their messages."""
        for span, result in zip(self._spans, results if self._spans else (), strict=True):
            if span is None:
                continue
            if isinstance(result, Exception):
                tracing.fail(span, result)
            elif result is not PublishResult.CONFIRMED:
                tracing.fail(span, result.name.lower(), _REASONS[result])
            tracing.end(span)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            for span in self._spans:
                if span is not None:
                    tracing.fail(span, error)
                    tracing.end(span)
