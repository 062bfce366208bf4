"""The base of every part of the resource, and the bounds of its values.

Every value has bounds, so that the API server can cost the rules it checks and a slip of the finger is found where it
was made. Sizes are far beyond use: one resource is at most about 1.5 MB.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

NOTHING = "^$"
"""The permission that matches no name."""

Meta = msgspec.Meta


class SpecPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Base of every part of the resource: camelCase outside, unknown fields refused."""


NotNegative = Annotated[int, Meta(ge=0, le=2**53)]
"""Whole numbers that survive a trip through any JSON reader."""

Seconds = Annotated[float, Meta(gt=0, le=315_360_000)]
"""More than none, at most ten years."""

Name = Annotated[str, Meta(max_length=255)]
"""The broker takes 255 bytes; what is longer in bytes than in letters is found by `validation`."""

Expression = Annotated[str, Meta(max_length=4096)]
"""A regular expression."""

KubernetesName = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""Of an object in Kubernetes."""

KubernetesNamespace = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]

Text = Annotated[str, Meta(max_length=1024)]
Tag = Annotated[str, Meta(min_length=1, max_length=64)]
Tags = Annotated[list[Tag], Meta(max_length=32)]
