"""Writes one virtual host as YAML: several resources where one would be too large."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec
import yaml

from broker_topology.findings import printable
from broker_topology.resource.model import API_VERSION, KIND, Spec

Document = dict[str, Any]

MAX_ENTRIES = {
    field.encode_name: size
    for field in msgspec.inspect.type_info(Spec).fields  # type: ignore[attr-defined]  # a struct has fields
    if (size := getattr(field.type, "max_length", None)) is not None and field.name != "vhost"
}
"""How many entries each section may have; the others continue in another resource."""

PLAIN_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
PLAIN = PLAIN_FIRST | frozenset("0123456789._-/")
QUOTED_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Booleans and nulls in some version of YAML."""

_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Flow(dict[str, Any]):
    """A mapping that is written on one line."""


class _ExportDumper(_Base):  # type: ignore[misc]  # the C dumper is missing on some platforms
    """Writes plain text only if every YAML reader reads the same text, and double quotes if it must be escaped: PyYAML
    writes U+0085 unescaped elsewhere, and reads it as a space."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    plain = text[:1] in PLAIN_FIRST and PLAIN.issuperset(text) and text.lower() not in QUOTED_WORDS if text else False
    style = None if plain else "'" if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_ExportDumper.add_representer(str, _text)
_ExportDumper.add_representer(
    _Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True)
)


def documents(vhost: str, sections: dict[str, Any], name: str) -> list[Document]:
    """Resources called `name`, `name-2`, ..., of the maximum size. The entries of `bindings` stay the same objects."""
    rest = {section: value for section, value in sections.items() if value}
    made: list[Document] = []
    while rest or not made:
        spec: dict[str, Any] = {"vhost": vhost}
        later: dict[str, Any] = {}
        for section, value in rest.items():
            most = MAX_ENTRIES.get(section, len(value))
            if isinstance(value, list):
                parts: Any = value[:most], value[most:]
            else:
                parts = dict(islice(value.items(), most)), dict(islice(value.items(), most, None))
            spec[section] = parts[0]
            if parts[1]:
                later[section] = parts[1]
        metadata = {"name": f"{name}-{len(made) + 1}" if made else name}
        made.append({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})
        rest = later
    return made


def text(vhost: str, several: Sequence[Document], left_out: Sequence[object]) -> str:
    lines = [f"# Virtual host {printable(vhost)}, as exported from the broker."]
    if left_out:
        lines += ["# Left out, because a Topology cannot express it (it stays at the broker):"]
        lines += [f"#   {printable(str(each))}" for each in left_out]
    one_line = [
        each | {"spec": each["spec"] | {"bindings": list(map(_Flow, each["spec"]["bindings"]))}}
        if "bindings" in each["spec"]
        else each
        for each in several
    ]
    body = yaml.dump_all(
        one_line, Dumper=_ExportDumper, sort_keys=False, allow_unicode=True, width=2**30, explicit_start=True
    )
    return "\n".join(lines) + "\n" + str(body)
