"""Evaluates the broker's regular expressions.

The broker's dialect is PCRE2, and only the broker decides whether an expression is valid. This module answers for
expressions that mean the same in Python's dialect.
"""

import re
import warnings
from functools import lru_cache

from broker_topology.resource.fields import NOTHING


def matches(expression: str, name: str) -> bool | None:
    """Returns whether the expression matches somewhere in the name, by bytes, as the broker searches.

    None if Python cannot evaluate the expression.
    """
    pattern = _compiled(expression)
    return None if pattern is None else pattern.search(name.encode()) is not None


def permits(permission: str, name: str) -> bool | None:
    """Returns what `matches` does, but an empty permission permits nothing: RabbitMQ reads it as `^$`."""
    return matches(permission or NOTHING, name)


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> re.Pattern[bytes] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # for expressions that PCRE reads differently, such as [[:alpha:]]
        try:
            return re.compile(expression.encode())
        except (re.error, Warning, OverflowError, RecursionError):
            return None
