"""What a request about a stored order announces continues the trace of the order, and both are linked."""

from uuid import uuid4

from opentelemetry import trace

from services.shared.chassis.tracing import order_context
from tests.recorded_spans import PARENT, UNSAMPLED, context_of, links_of, parent_of, recorded_spans

REQUEST = f"00-{'a' * 32}-{'b' * 16}-01"
ORDER = uuid4()


def test_the_trace_of_the_order_and_the_request_are_linked() -> None:
    with recorded_spans() as spans:
        with trace.get_tracer("test").start_as_current_span("request"):
            context = order_context("cancel order", ORDER, PARENT, REQUEST)
        request, joined = spans.one("request"), spans.one("cancel order")
    assert (parent_of(joined), context) == (PARENT, context_of(joined))
    assert links_of(joined) == [context_of(request)]
    assert links_of(request) == [context_of(joined)]
    assert (joined.attributes or {})["warren.order.id"] == str(ORDER)


def test_a_request_goes_on_in_its_own_trace_if_that_of_the_order_is_not_recorded() -> None:
    with recorded_spans() as spans:
        for stored in (None, UNSAMPLED, "rubbish"):
            assert order_context("cancel order", ORDER, stored, REQUEST) == REQUEST
    assert spans.all() == []


def test_without_spans_the_context_of_the_request_has_precedence() -> None:
    assert order_context("cancel order", ORDER, PARENT, REQUEST) == REQUEST
    assert order_context("cancel order", ORDER, PARENT, None) == PARENT
