"""The schema of the status, and the limits that `topology_operator.reconcile.status` keeps."""

from typing import Any

from broker_topology.planning.result import Status

Schema = dict[str, Any]

MAX_OBJECTS = 500
MAX_STEPS = 200
MAX_REPAIRED = 20
MAX_WARNINGS = 100
MAX_LINE, MAX_NAME = 2048, 1100
MAX_CONDITION_MESSAGE, MAX_ERROR = 4096, 8192


def _text(description: str = "", limit: int = 1024, **more: Any) -> Schema:
    return _described(description, {"type": "string", "maxLength": limit, **more})


def _time(description: str = "") -> Schema:
    return _described(description, {"type": "string", "format": "date-time"})


def _count(description: str) -> Schema:
    return _described(description, {"type": "integer", "format": "int64", "minimum": 0})


def _enum(description: str, *values: str) -> Schema:
    return _described(description, {"type": "string", "enum": list(values)})


def _list(description: str, limit: int, items: Schema, key: str = "") -> Schema:
    """Returns the schema of a list. One with a key is merged by that key, any other is replaced as a whole."""
    kind: Schema = {"x-kubernetes-list-type": "map" if key else "atomic"}
    if key:
        kind["x-kubernetes-list-map-keys"] = [key]
    return _described(description, {"type": "array", "maxItems": limit, **kind, "items": items})


def _object(description: str = "", required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    found: Schema = {"type": "object", "properties": properties}
    return _described(description, found | {"required": list(required)} if required else found)


def _described(description: str, schema: Schema) -> Schema:
    return {"description": description, **schema} if description else schema


CONDITION = _object(
    "",
    ("lastTransitionTime", "message", "reason", "status", "type"),
    type=_text(limit=316),
    status=_enum("", "True", "False", "Unknown"),
    observedGeneration=_count("The generation of the spec that the condition is about."),
    lastTransitionTime=_time(),
    reason=_text(),
    message=_text(limit=32768),
)

OBJECT = _object(
    "",
    ("kind", "name", "state"),
    kind=_text("The broker's kind: queue, exchange, binding, …", 32),
    name=_text(limit=MAX_NAME),
    state=_enum(
        "Ready: matches the spec. Pending: not written yet. Migrating: messages are being moved. Blocked: the broker "
        "cannot change it, see message. Failed: the broker refused it, see message. Retained: no longer in the spec, "
        "but kept, see message.",
        *(each.value for each in Status),
    ),
    message=_text(limit=MAX_LINE),
)

STATUS = _object(
    "What the operator found. Only the operator writes it.",
    observedGeneration=_count("The newest generation of the spec that the operator has reconciled."),
    conditions=_list("Ready, Drifted, Blocked, Paused.", 16, CONDITION, "type"),
    broker=_object("The broker of the last reconcile.", address=_text(), version=_text(limit=64)),
    lastComparedTime=_time(
        "When the broker was last compared with the spec. Renewed every ten minutes while comparisons succeed, exact "
        "while they fail."
    ),
    summary=_object(
        "Counts of the last comparison; absent while the broker cannot be compared.",
        desired=_count("Objects in the spec."),
        synced=_count("Objects of the spec that match at the broker."),
        text=_text("Both counts as synced/desired; Unknown while the broker cannot be compared.", 64),
    ),
    objects=_list(f"Every object; of more than {MAX_OBJECTS}, those that are not Ready first.", MAX_OBJECTS, OBJECT),
    omitted=_count("How many objects the list leaves out."),
    plan=_object(
        "Differences that were not written, because of mode Plan or because they are blocked.",
        summary=_text(),
        steps=_list("", MAX_STEPS, _text(limit=MAX_LINE)),
    ),
    warnings=_list(
        "Probable mistakes that the broker accepts. With strict they make the resource invalid.",
        MAX_WARNINGS,
        _text(limit=MAX_LINE),
    ),
    rotations=_list(
        "Users with password rotation, and the state of each.",
        1000,
        _object("", ("user", "state"), user=_text(limit=255), state=_text()),
        "user",
    ),
    drift=_object(
        "Changes from outside of the operator that it has repaired.",
        repaired=_count("Objects repaired since the resource was created."),
        lastRepairTime=_time(),
        lastRepaired=_list("The objects of the last repair.", MAX_REPAIRED, _text(limit=MAX_NAME)),
    ),
    lastError=_text("Why the last reconcile failed; absent after a success.", MAX_ERROR),
)
