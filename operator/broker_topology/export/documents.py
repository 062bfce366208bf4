"""One virtual host as YAML: several resources where one would be too large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
import yaml

from broker_topology.findings import printable
from broker_topology.resource.model import API_VERSION, KIND, Spec

Document = dict[str, Any]

CUT = {
    "exchanges": "exchanges",
    "queues": "queues",
    "superStreams": "super_streams",
    "bindings": "bindings",
    "users": "users",
    "policies": "policies",
    "operatorPolicies": "operator_policies",
}
"""The sections that may be continued in another resource, and their fields."""

PLAIN_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
PLAIN = PLAIN_FIRST | frozenset("0123456789._-/")
QUOTED_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Booleans and nulls in some version of YAML."""

_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Flow(dict[str, Any]):
    """Written on one line."""


class _Dumper(_Base):  # type: ignore[misc]  # the C dumper is there or not, depending on the platform
    """Plain where every reader of YAML takes it for the same text; in double quotes what has to be escaped: PyYAML
    writes U+0085 as it is elsewhere, and reads it as a space."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    plain = text[:1] in PLAIN_FIRST and PLAIN.issuperset(text) and text.lower() not in QUOTED_WORDS if text else False
    style = None if plain else "'" if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(
    _Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True)
)


def documents(vhost: str, sections: dict[str, Any], name: str) -> list[Document]:
    """Resources called `name`, `name-2`, ..., each as large as one may be. Their bindings are the same objects."""
    most = _most()
    rest = {section: value for section, value in sections.items() if value}
    made: list[Document] = []
    while rest or not made:
        spec: dict[str, Any] = {"vhost": vhost}
        later: dict[str, Any] = {}
        for section, value in rest.items():
            if section not in CUT or len(value) <= most[section]:
                spec[section] = value
            elif isinstance(value, list):
                spec[section], later[section] = value[: most[section]], value[most[section] :]
            else:
                spec[section] = dict(islice(value.items(), most[section]))
                later[section] = dict(islice(value.items(), most[section], None))
        called = name if not made else f"{name}-{len(made) + 1}"
        made.append({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": called}, "spec": spec})
        rest = later
    return made


def text(vhost: str, several: Sequence[Document], left_out: Sequence[object]) -> str:
    lines = [f"# Virtual host {printable(vhost)}, as the broker had it."]
    if left_out:
        lines += ["# Left out, because a Topology cannot or must not say it (it stays as it is):"]
        lines += [f"#   {printable(str(each))}" for each in left_out]
    body = yaml.dump_all(
        map(_shaped, several), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**30, explicit_start=True
    )
    return "\n".join(lines) + "\n" + str(body)


def _shaped(document: Document) -> Document:
    spec = document["spec"]
    if "bindings" not in spec:
        return document
    return document | {"spec": spec | {"bindings": [_Flow(each) for each in spec["bindings"]]}}


def _most() -> dict[str, int]:
    """How many entries each section may have."""
    info = msgspec.inspect.type_info(Spec)
    sizes = dict(_sizes(info))
    return {section: sizes[field] for section, field in CUT.items()}


def _sizes(info: Any) -> Iterator[tuple[str, int]]:
    for field in info.fields:
        if (size := getattr(field.type, "max_length", None)) is not None:
            yield field.name, size
