"""The schema of what the operator writes: see `topology_operator.reconcile.status`."""

from __future__ import annotations

from typing import Any

from broker_topology.planning.result import Status

Schema = dict[str, Any]


def _text(description: str = "", most: int = 1024) -> Schema:
    found: Schema = {"type": "string", "maxLength": most}
    return {"description": description, **found} if description else found


def _count(description: str) -> Schema:
    return {"description": description, "type": "integer", "format": "int64", "minimum": 0}


CONDITION: Schema = {
    "type": "object",
    "required": ["lastTransitionTime", "message", "reason", "status", "type"],
    "properties": {
        "type": _text(most=316),
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "observedGeneration": _count("The generation this was found for."),
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "reason": _text(most=1024),
        "message": _text(most=32768),
    },
}

OBJECT: Schema = {
    "type": "object",
    "required": ["kind", "name", "state"],
    "properties": {
        "kind": _text("The broker's kind: queue, exchange, binding, …", 32),
        "name": _text(most=1100),
        "state": {
            "description": "Ready: as the spec asks for. Pending: still to be written. Migrating: on its way. Blocked: "
            "the broker cannot change it, see message. Failed: the broker refused it, see message. Retained: no longer "
            "asked for, and kept, see message.",
            "type": "string",
            "enum": [each.value for each in Status],
        },
        "message": _text(most=2048),
    },
}

MAX_OBJECTS = 500
MAX_STEPS = 200
MAX_NAMED = 20
MAX_WARNINGS = 100

STATUS: Schema = {
    "description": "What the operator found. Written by it alone.",
    "type": "object",
    "properties": {
        "observedGeneration": _count("The newest generation of the spec that the operator has worked on."),
        "conditions": {
            "description": "Ready, Drifted, Blocked, Paused.",
            "type": "array",
            "maxItems": 16,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": CONDITION,
        },
        "broker": {
            "description": "The broker that was spoken to last.",
            "type": "object",
            "properties": {"address": _text(), "version": _text(most=64)},
        },
        "lastComparedTime": {
            "description": "When the broker was last compared with the spec. While comparisons succeed it is renewed "
            "every ten minutes; while they fail it is exact.",
            "type": "string",
            "format": "date-time",
        },
        "summary": {
            "description": "Counts of the last comparison; none while the broker cannot be compared.",
            "type": "object",
            "properties": {
                "wanted": _count("Objects that the spec asks for."),
                "held": _count("How many of them the broker holds exactly as asked for."),
                "text": _text("Both, for people; Unknown while the broker cannot be compared.", 64),
            },
        },
        "objects": {
            "description": f"Every object; of more than {MAX_OBJECTS} those that are not Ready come first.",
            "type": "array",
            "maxItems": MAX_OBJECTS,
            "x-kubernetes-list-type": "atomic",
            "items": OBJECT,
        },
        "omitted": _count("How many objects the list above leaves out."),
        "plan": {
            "description": "What differs and has not been written, in mode Plan or because it is blocked.",
            "type": "object",
            "properties": {
                "summary": _text(),
                "steps": {
                    "type": "array",
                    "maxItems": MAX_STEPS,
                    "x-kubernetes-list-type": "atomic",
                    "items": _text(most=2048),
                },
            },
        },
        "warnings": {
            "description": "What the broker accepts, and what is probably a mistake. With strict it is refused.",
            "type": "array",
            "maxItems": MAX_WARNINGS,
            "x-kubernetes-list-type": "atomic",
            "items": _text(most=2048),
        },
        "rotations": {
            "description": "Users whose passwords are rotated, and how that stands.",
            "type": "array",
            "maxItems": 1000,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["user"],
            "items": {
                "type": "object",
                "required": ["user", "state"],
                "properties": {"user": _text(most=255), "state": _text()},
            },
        },
        "drift": {
            "description": "What somebody else changed at the broker, and the operator put back.",
            "type": "object",
            "properties": {
                "repaired": _count("Objects put back since the resource was created."),
                "lastTime": {"type": "string", "format": "date-time"},
                "last": {
                    "description": "What was put back then.",
                    "type": "array",
                    "maxItems": MAX_NAMED,
                    "x-kubernetes-list-type": "atomic",
                    "items": _text(most=1100),
                },
            },
        },
        "lastError": _text("Why the last try did not succeed; empty after one that did.", 8192),
    },
}
