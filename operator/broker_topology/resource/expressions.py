"""What a regular expression of the broker matches.

The broker's dialect is PCRE2, and only the broker decides which expressions are valid. Here Python's dialect answers
for the part that both have in common; of the rest nothing can be known before the broker is asked.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache

from broker_topology.resource.bounds import NOTHING


def matches(expression: str, name: str) -> bool | None:
    """Whether the expression matches somewhere in the name, as the broker searches; None when Python cannot tell.

    Bytes are compared, as the broker does.
    """
    pattern = _compiled(expression)
    return None if pattern is None else pattern.search(name.encode()) is not None


def permits(permission: str, name: str) -> bool | None:
    """The same for a permission: RabbitMQ reads an empty one as `^$`."""
    return matches(permission or NOTHING, name)


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> re.Pattern[bytes] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of what Python reads otherwise than PCRE, such as [[:alpha:]]
        try:
            return re.compile(expression.encode())
        except (re.error, Warning, OverflowError, RecursionError):
            return None
