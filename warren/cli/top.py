"""`warren top`: the running system on one screen."""

from typing import Annotated

from cyclopts import Parameter, validators

from warren.cli.arguments import Json


def top(
    *,
    once: Annotated[bool, Parameter(negative="", help="Print the figures once, without colours in a pipe.")] = False,
    interval: Annotated[
        float, Parameter(help="Seconds between two refreshes.", validator=validators.Number(gte=0.5, lte=3600))
    ] = 2.0,
    namespace: Annotated[
        str | None, Parameter(help="Only this namespace, if Prometheus scrapes several installations.")
    ] = None,
    prometheus_url: Annotated[
        str | None,
        Parameter(env_var="WARREN_PROMETHEUS_URL", help="Prometheus; default: that of the running `warren up`."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show queues, rates, outboxes, orders, retries and circuit breakers, until q or Ctrl-C.

    All figures come from Prometheus, so they are those of the dashboards and alerts, as old as its last scrape. Rates
    are those of the last minute. `?` is a figure that Prometheus does not have. Without a terminal each refresh is
    printed below the last.

    Try:

        warren top
        warren top --once --json | jq '.queues[] | select(.ready > 100)'
        kubectl port-forward svc/warren-prometheus 9090 &
        warren top --prometheus-url http://localhost:9090 --namespace shop
    """
    from warren.cli import top_actions

    top_actions.run(prometheus_url, namespace, once=once, interval=interval, as_json=as_json)
