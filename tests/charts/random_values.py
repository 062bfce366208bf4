"""Random values for a chart: valid ones by its schema, and typical mistakes."""

import copy
import json
import random
import re
from pathlib import Path
from typing import Any

import yaml

from tests.charts.rendering import CHART, Object

TEXTS = [
    "", "x", "orders", "true", "null", "~", "1e3", "0x1f", "123", "1.10", "on", "a: b", "a #b", "- a", "{a}", "[a",
    "*a", "&a", "!a", "%a", "@a", "`a`", "'a", '"a"', "a\\b", "a\nb", "a\tb", " a ", "é", "\u0085", "{{ .Values }}",
    "${HOME}", "a,b", "--flag", "x" * 63, "x" * 64, "x" * 300, "a.b", "a/b", "A-b_c", "my.app", "1a", "a-",
    "0.0.0.0/0", "10.0.0.0/8", "::/0", "2001:db8::/32", "fe80::1/64", "::ffff:10.0.0.1/96", "10.0.0.1", "::1",
    "300.0.0.1/8", "10.0.0.0/33", ":::/1", "https://sms.example/x?y=%20z", "https://[2001:db8::1]:8443/x",
    "https://[::1]", "https://", "http://a", "https://a:b/", "registry.example:5000/warren", "a@b", "0", "0.5",
    "500m", "1Gi", "1e9", "1.5e", ".5", "sha256:" + "a" * 64, "*.a.example",
]  # fmt: skip
"""Texts that YAML may read as other types, and texts with a meaning in one of the fields."""
NUMBERS = [0, 1, 2, 3, 5, 15, 600, 5671, 70000, 1000000, 12345678, 2**31, 2**53 + 1, 10**21, -1, 0.5, 1.5, 1e-7, 1e300]
ANY: list[Any] = [None, True, False, [], {}, ["a"], [None], [1], [{}], {"a": "b"}, {"a": None}, {"A": 1e6, "B": True}]
RELEASES = [
    "warren",
    "w",
    "true",
    "null",
    "on",
    "1warren",
    "123",
    "my.app",
    "a-b",
    "x" * 53,
    "a" * 39 + "-" + "b" * 9,
    "e1",
]
NAMESPACES = ["shop", "456", "true", "null", "1e3", "0x1", "x" * 63, "on"]
FOREIGN: dict[str, list[Any]] = {
    "affinity": [{"nodeAffinity": {}}, {"podAntiAffinity": {}}],
    "tolerations": [
        [{"operator": "Exists"}],
        [{"key": "a", "value": "true", "effect": "NoExecute", "tolerationSeconds": 5}],
    ],
    "topologySpreadConstraints": [[{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]],
    "env": [
        [{"name": "A_B", "value": "true"}],
        [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    ],
    "envFrom": [[{"secretRef": {"name": "x"}}]],
    "extraVolumes": [[{"name": "more", "emptyDir": {}}], [{"name": "broker", "emptyDir": {}}]],
    "extraVolumeMounts": [[{"name": "more", "mountPath": "/more"}]],
    "hostAliases": [[{"ip": "::1", "hostnames": ["true"]}]],
    "egress": [[], [{"to": [{"ipBlock": {"cidr": "::/0"}}], "ports": [{"protocol": "TCP", "port": 1}]}]],
    "calledBy": [[], [{"podSelector": {"matchLabels": {"a": "true"}}}]],
    "dns": [[{"namespaceSelector": {}}]],
    "tracesTo": [[{"ipBlock": {"cidr": "::/0"}}]],
    "claims": [[]],
}  # fmt: skip
"""Values of fields that the chart passes to Kubernetes unchecked."""


class RandomValues:
    """The same seed gives the same values."""

    def __init__(self, seed: int, chart: Path = CHART) -> None:
        self._random = random.Random(seed)
        self._schemas = {"": _schema(chart), "topology-operator": _schema(chart / "charts/topology-operator")}
        self._defaults = yaml.safe_load((chart / "values.yaml").read_text())
        self._defaults["topology-operator"] = yaml.safe_load(
            (chart / "charts/topology-operator/values.yaml").read_text()
        )

    def release(self) -> tuple[str, str]:
        choose = self._random
        return choose.choice(RELEASES if choose.random() < 0.5 else ["warren"]), choose.choice(NAMESPACES)

    def values(self) -> Object:
        """Returns a few settings at random paths; sometimes on top of the values of an example in ci/."""
        found: Object = {}
        if self._random.random() < 0.6:
            case = self._random.choice(sorted((CHART / "ci").glob("*-values.yaml")))
            found = yaml.safe_load(case.read_text()) or {}
        for _ in range(self._random.randint(1, 6)):
            path, node, schema = self._place()
            value = self._any() if self._random.random() < 0.25 else self._fitting(path[-1], node, schema)
            _put(found, path, copy.deepcopy(value))
        return found

    def _place(self) -> tuple[list[str], Object, Object]:
        """Returns a random path into the values, the schema there, and the schema that it belongs to."""
        schema, path = self._schemas[""], list[str]()
        node, default = schema, self._defaults
        while True:
            node = _resolved(node, schema)
            names = sorted(node.get("properties", {}))
            if path == ["components"]:
                names = sorted(default)
            if not names or (path and self._random.random() < 0.1):
                return path, node, schema
            name = self._random.choice(names)
            if not path and name in self._schemas:
                schema = node = self._schemas[name]
            else:
                node = node.get("properties", {}).get(name) or node["additionalProperties"]
            default = default.get(name, {}) if isinstance(default, dict) else {}
            path.append(name)

    def _any(self) -> Any:
        return self._random.choice([*TEXTS, *NUMBERS, *ANY])

    def _fitting(self, name: str, node: Object, whole: Object) -> Any:
        """Returns a value that probably satisfies the schema."""
        node, choose = _resolved(node, whole), self._random
        if name in FOREIGN or "enum" in node:
            return choose.choice(FOREIGN.get(name) or node["enum"])
        if "anyOf" in node:
            return self._fitting(name, choose.choice(node["anyOf"]), whole)
        kinds = node.get("type", "string")
        kind = choose.choice(kinds) if isinstance(kinds, list) else kinds
        if kind == "array":
            return [self._fitting("", node.get("items", {}), whole) for _ in range(choose.randint(0, 3))]
        if kind == "object":
            return self._object(node, whole)
        return self._scalar(kind, node)

    def _scalar(self, kind: str, node: Object) -> Any:
        choose, fitting = self._random, list[Any]([True, False] if kind == "boolean" else [None])
        if kind == "string":
            fitting = [text for text in TEXTS if re.search(node.get("pattern", ""), text)] or ["x"]
        elif kind in {"integer", "number"}:
            low, high = node.get("minimum", node.get("exclusiveMinimum", 0)), node.get("maximum", 10**9)
            fitting = [each for each in NUMBERS if low <= each <= high and (kind == "number" or isinstance(each, int))]
            fitting.append(choose.randint(max(1, int(low)), int(high)))
        return choose.choice(fitting)

    def _object(self, node: Object, whole: Object) -> Object:
        known = node.get("properties", {})
        found = {
            key: self._fitting(key, each, whole)
            for key, each in known.items()
            if key in node.get("required", ()) or self._random.random() < 0.3
        }
        more = node.get("additionalProperties", False)
        if isinstance(more, dict) and not known:
            names = _resolved(node.get("propertyNames", {}), whole).get("pattern", "")
            keys = [text for text in [*TEXTS, "A_B", "app", "cpu", "memory"] if text and re.search(names, text)]
            for key in self._random.sample(keys, min(2, len(keys))):
                found[key] = self._fitting("", more, whole)
        return found


def _schema(chart: Path) -> Object:
    schema: Object = json.loads((chart / "values.schema.json").read_text())
    return schema


def _resolved(node: Object, whole: Object) -> Object:
    while "$ref" in node:
        node = whole["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def _put(values: Object, path: list[str], value: Any) -> None:
    for key in path[:-1]:
        if not isinstance(values.get(key), dict):
            values[key] = {}
        values = values[key]
    values[path[-1]] = value
