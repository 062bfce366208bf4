"""The work of `warren trace`."""

from uuid import UUID

import msgspec

from warren.cli.screen import err, out, print_json, safe_markup
from warren.cli.spans import order_spans, without_other_orders
from warren.cli.timeline import OrderTimeline, timeline
from warren.cli.timeline_view import render
from warren.client import ApiClient, HistoryEntry, OrderView, default_traces_url
from warren.errors import ClientError
from warren.jaeger import JaegerClient, JaegerTrace
from warren_messaging.tracing import is_sampled, trace_id_of

NO_STORE = (
    "no trace store is known, so there are only events: name Jaeger's query API with --traces-url or WARREN_TRACES_URL"
)
NO_CONTEXT = "no event has a trace context, so there are no spans: the processes trace with OTEL_EXPORTER_OTLP_ENDPOINT"
NOT_SAMPLED = (
    "the order was not sampled, so there are no spans: the share of sampled orders is OTEL_TRACES_SAMPLER_ARG of the"
    " processes"
)
CONVERSATION = "messaging.message.conversation_id"


class TracedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order with its timeline, as --json prints it. `remarks` says what is missing and why."""

    order: OrderView
    traces: list[str]
    timeline: OrderTimeline
    remarks: list[str]


def show(
    name: str, customer: str | None, *, everything: bool, as_json: bool, url: str | None, traces_url: str | None
) -> None:
    """Raises ClientError if there is neither an event nor a span."""
    remarks: list[str] = []
    store = traces_url or default_traces_url(url)
    with ApiClient(url) as client:
        order = client.find(name, customer)
        history = _history(client, order.id, remarks)
    traces = [] if store is None else _traces(JaegerClient(store), order.id, history, remarks)
    if store is None:
        remarks.append(NO_STORE)
    if not history and not traces:
        raise ClientError("\n".join([f"order {order.name} has neither events nor spans:", *remarks]))
    found = timeline(order_spans(traces), history, everything=everything)
    traced = TracedOrder(order=order, traces=[each.trace_id for each in traces], timeline=found, remarks=remarks)
    if as_json:
        document = msgspec.to_builtins(traced)
        print_json({"order": document["order"], "traces": traced.traces, **document["timeline"], "remarks": remarks})
        return
    for remark in remarks:
        err.print(safe_markup(remark), style="yellow")
    _print(traced, traces)


def _history(client: ApiClient, order_id: UUID, remarks: list[str]) -> list[HistoryEntry]:
    try:
        found = client.history(order_id)
    except ClientError as error:
        remarks.append(f"the events of the audit log are missing: {error}")
        return []
    if found is None:
        remarks.append("the events of the audit log are missing: name the audit service in WARREN_AUDIT_URL")
    return found or []


def _traces(store: JaegerClient, order_id: UUID, history: list[HistoryEntry], remarks: list[str]) -> list[JaegerTrace]:
    """Return the traces of the order, which its events name; without events, those that the store finds."""
    try:
        if not history:
            return _search(store, order_id, remarks)
        contexts = [entry.traceparent for entry in history if trace_id_of(entry.traceparent) is not None]
        sampled = dict.fromkeys(trace_id_of(context) for context in contexts if is_sampled(context))
        if not sampled:
            remarks.append(NOT_SAMPLED if contexts else NO_CONTEXT)
        traces = []
        for trace_id in sampled:
            trace = store.trace(str(trace_id))
            if trace is None:
                remarks.append(
                    f"{store.url} has no trace {trace_id}: it is too old, or its spans are still on their way"
                )
            else:
                traces.append(without_other_orders(trace, order_id))
    except ClientError as error:
        remarks.append(f"the spans are missing: {error}")
        return []
    return traces


def _search(store: JaegerClient, order_id: UUID, remarks: list[str]) -> list[JaegerTrace]:
    found = {
        trace.trace_id: without_other_orders(trace, order_id)
        for service in store.services()
        for trace in store.find(service, {CONVERSATION: str(order_id)})
    }
    if not found:
        remarks.append(f"{store.url} has no span of the order")
    return list(found.values())


def _print(traced: TracedOrder, traces: list[JaegerTrace]) -> None:
    order = traced.order
    state = f"order {safe_markup(order.name)}  {safe_markup(order.shown_state)}  {order.id}"
    out.print(state, style="bold", soft_wrap=True)
    for trace in traces:
        count = len(trace.spans)
        out.print(f"trace {safe_markup(trace.trace_id)}, {count} span{'' if count == 1 else 's'}", style="dim")
    out.print()
    out.print(render(traced.timeline, out.width, bars=out.is_terminal), soft_wrap=True)
    if traced.timeline.hidden:
        out.print(f"{traced.timeline.hidden} spans of the database and the audit log: --all", style="dim")
