"""The few shapes of PromQL that most panels have. `$__rate_interval` is Grafana's: at least four scrapes."""

from collections.abc import Sequence


def rate(metric: str, selector: str, by: Sequence[str] = ()) -> str:
    """Increase of a counter per second, summed by labels."""
    return f"sum{_by(by)} (rate({metric}{{{selector}}}[$__rate_interval]))"


def quantile(rank: float, histogram: str, selector: str, by: Sequence[str] = ()) -> str:
    """A quantile of a histogram's observations."""
    return f"histogram_quantile({rank}, {rate(histogram + '_bucket', selector, [*by, 'le'])})"


def ratio(part: str, whole: str) -> str:
    """A share that is 0 without anything to share."""
    return f"({part}) / ({whole} > 0) or 0 * ({whole})"


def largest(metric: str, selector: str, by: Sequence[str] = ()) -> str:
    """The largest value by labels: replicas that read the same table or queue report the same thing."""
    return f"max{_by(by)} ({metric}{{{selector}}})"


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
