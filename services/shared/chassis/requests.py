"""What is accepted as a request, and what is wrong with one in the words of its sender.

Bodies are JSON, say so, and are strict: `"1"` is no number, `1` is no boolean, no member is given twice. A query
parameter that a route does not know, or that is given twice, is refused: if a misspelt filter were ignored, the answer
would be one to another question.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from litestar import Litestar, Request
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

from services.shared.chassis.problems import Problem
from services.shared.chassis.text import objection, texts

_KNOWN, _NAMES, _HEADERS, _FORMS = "query parameters", "names of parameters", "headers", "forms of query parameters"
_PATTERN = re.compile(r"^Expected `str` matching regex (?P<pattern>'.*')$", re.DOTALL)
_PLACE = re.compile(r"^(?P<message>.*?)(?: - at `\$\.?(?P<key>.*)`)?$", re.DOTALL)


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body, if it has one, is JSON of the route's type."""

    async def json(self) -> Any:
        """The body as the type that the route takes. Raises Problem: 415 for another content type or encoding, 400
        for what cannot be read."""
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" and not re.fullmatch(r"application/[\w.-]+\+json", media_type):
            said = f"is {media_type!r}" if media_type else "is missing"
            raise Problem(415, "Unsupported media type", f"The Content-Type {said}; application/json is taken here.")
        if (encoding := self.headers.get("content-encoding", "identity").strip().lower()) != "identity":
            problem = Problem(
                415, "Unsupported media type", f"The Content-Encoding is {encoding!r}; send the body without one."
            )
            problem.headers = {"Accept-Encoding": "identity"}
            raise problem
        field = self.route_handler.parsed_data_field
        return self._decoded(await self.body(), Any if field is None else field.annotation)

    def _decoded(self, body: bytes, kind: Any) -> Any:
        if not body:
            raise _wrong("body", "is missing")
        try:
            value = msgspec.json.decode(body, type=kind)
            # float: Python refuses to make an int of more than 4300 digits, and only the texts matter here
            for place, text in texts(json.loads(body, object_pairs_hook=_members, parse_int=float)):
                if fault := objection(text):
                    raise _wrong(place or "body", fault)
        except msgspec.ValidationError as error:
            found = _PLACE.match(str(error))
            message, key = (found["message"], found["key"]) if found else (str(error), None)
            raise _wrong(key or "body", _in_words(self.app, message)) from error
        except msgspec.DecodeError as error:
            raise _wrong("body", str(error)) from error
        except UnicodeDecodeError as error:
            raise _wrong("body", "it is not UTF-8 text") from error
        except RecursionError as error:
            raise _wrong("body", "it is nested too deeply") from error
        return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise _wrong(next(name for name in names if names.count(name) > 1), "is given twice")
    return members


def _wrong(key: str, message: str, source: str = "body") -> Problem:
    errors = [{"message": message, "key": key, "source": source}]
    return Problem(400, "Bad request", f"{key}: {message}", errors=errors)


def learn_parameters(app: Litestar) -> None:
    """Note for each handler what its parameters are called in a request, and what form they must have."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                query, headers = model.expected_query_params, model.expected_header_params
                given = {*query, *headers, *model.expected_path_params}
                fields = handler.parsed_fn_signature.parameters
                handler.opt[_NAMES] = {each.field_name: each.field_alias for each in given}
                handler.opt[_KNOWN] = sorted(each.field_alias for each in query)
                handler.opt[_HEADERS] = sorted(each.field_alias for each in headers)
                handler.opt[_FORMS] = {
                    each.field_alias: form
                    for each in query
                    if each.field_name in fields and (form := _form(fields[each.field_name]))
                }


def _form(field: FieldDefinition) -> tuple[re.Pattern[str], str] | None:
    """What the framework would convert though it does not have the documented form: `1.0` to 1, `null` to nothing."""
    kinds = [inner.annotation for inner in field.inner_types] if field.is_union else [field.annotation]
    if int in kinds:
        return re.compile(r"-?[0-9]+"), "Expected a whole number"
    if type(None) in kinds and str not in kinds:
        return re.compile(r"(?!null$).*", re.IGNORECASE | re.DOTALL), "null is no value; leave the parameter out"
    return None


def check_parameters(request: Request[Any, Any, Any]) -> None:
    """Raises Problem 400 for a parameter that is unknown, given twice or no plain text."""
    opt = request.route_handler.opt
    known = opt[_KNOWN]
    if fault := _objection(request.scope["path"]):
        raise _wrong("path", fault, "path")
    if request.scope["query_string"]:
        items = list(request.query_params.items())
        names = [name for name, _ in items]
        if unknown := [name for name in dict.fromkeys(names) if name not in known]:
            offer = f"known here: {', '.join(known)}" if known else "none is known here"
            raise Problem(
                400, "Bad request", f"unknown query parameter {', '.join(map(repr, unknown))}; {offer}", unknown=unknown
            )
        for name, value in items:
            form, meaning = opt[_FORMS].get(name, (None, ""))
            if names.count(name) > 1:
                raise _wrong(name, "is given twice", "query")
            if fault := _objection(str(value)) or (meaning if form and not form.fullmatch(str(value)) else None):
                raise _wrong(name, fault, "query")
    for name in opt[_HEADERS]:
        if (value := request.headers.get(name)) and (fault := objection(value)):
            raise _wrong(name, fault, "header")


def _objection(text: str) -> str | None:
    """For what came percent-encoded: bytes that are not UTF-8 have become U+FFFD."""
    return "is not UTF-8 text" if "\ufffd" in text else objection(text)


def complaints(request: Request[Any, Any, Any], error: ValidationException) -> list[dict[str, str]]:
    """Which parameter is wrong (`key`), why (`message`), and where it came from (`source`)."""
    items = error.extra if isinstance(error.extra, list) else []
    return [_complaint(request, item) for item in items if isinstance(item, dict)]


def _complaint(request: Request[Any, Any, Any], item: Mapping[str, Any]) -> dict[str, str]:
    key, message = str(item.get("key", "body")), str(item.get("message", ""))
    if message == repr(key):  # the framework's way to say that its argument has no value
        message = "is missing"
    handler: BaseRouteHandler | None = request.scope.get("route_handler")
    names: Mapping[str, str] = handler.opt.get(_NAMES, {}) if handler else {}
    name = "body" if item.get("source") == "body" and key == "data" else names.get(key, key)
    source = {"source": getattr(item["source"], "value", item["source"])} if "source" in item else {}
    return {"message": _in_words(request.app, message), "key": name} | source


def _in_words(app: Litestar, message: str) -> str:
    """For a regular expression, the description that goes with it in the API document, if there is one."""
    if not (match := _PATTERN.match(message)):
        return message
    meanings: dict[str, str] | None = app.state.get("meanings")
    if meanings is None:
        meanings = {repr(pattern): text for pattern, text in _described([app.state.get("document", {})])}
        app.state["meanings"] = meanings
    quoted = match["pattern"]
    return f"Expected {meanings.get(quoted, f'text that matches {quoted}')}"


def _described(nodes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, dict):
            if isinstance(node.get("pattern"), str) and isinstance(node.get("description"), str):
                yield node["pattern"], node["description"]
            yield from _described(node.values())
        elif isinstance(node, list):
            yield from _described(node)
