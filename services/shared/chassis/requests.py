"""What is taken as a request, and what is wrong with one in the words of who sent it.

Bodies are JSON and say so. A query parameter that a route does not know is refused: left out silently, a misspelt
filter would answer with what nobody asked for.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from litestar import Litestar, Request
from litestar.exceptions import SerializationException, ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

from services.shared.chassis.problems import Problem

_KNOWN, _NAMES = "query parameters", "names of parameters"
_PATTERN = re.compile(r"^Expected `str` matching regex (?P<pattern>'.*')$", re.DOTALL)


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body, if it has one, is JSON."""

    async def json(self) -> Any:
        """Raises Problem: 415 for another content type, 400 for what cannot be read."""
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" and not re.fullmatch(r"application/[\w.-]+\+json", media_type):
            said = f"is {media_type!r}" if media_type else "is missing"
            raise Problem(415, "Unsupported media type", f"The Content-Type {said}; application/json is taken here.")
        try:
            return await super().json()
        except UnicodeDecodeError as error:
            raise Problem(400, "Bad request", "body: it is not UTF-8 text") from error
        except RecursionError as error:
            raise Problem(400, "Bad request", "body: it is nested too deeply") from error
        except SerializationException as error:
            raise Problem(400, "Bad request", f"body: {error.detail or error}") from error


def learn_parameters(app: Litestar) -> None:
    """Note for each handler what its parameters are called on the wire."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                given = {*model.expected_query_params, *model.expected_header_params, *model.expected_path_params}
                handler.opt[_NAMES] = {each.field_name: each.field_alias for each in given}
                handler.opt[_KNOWN] = sorted(each.field_alias for each in model.expected_query_params)


def refuse_unknown_parameters(request: Request[Any, Any, Any]) -> None:
    """Raises Problem 400 that names what the route does not know, and what it knows."""
    known = request.route_handler.opt[_KNOWN]
    if unknown := [name for name in dict.fromkeys(request.query_params.keys()) if name not in known]:
        offer = f"known here: {', '.join(known)}" if known else "none is known here"
        raise Problem(
            400, "Bad request", f"unknown query parameter {', '.join(map(repr, unknown))}; {offer}", unknown=unknown
        )


def complaints(request: Request[Any, Any, Any], error: ValidationException) -> list[dict[str, str]]:
    """Which field or parameter is wrong (`key`), why (`message`), and where it came from (`source`)."""
    items = error.extra if isinstance(error.extra, list) else []
    return [_complaint(request, item) for item in items if isinstance(item, dict)]


def _complaint(request: Request[Any, Any, Any], item: Mapping[str, Any]) -> dict[str, str]:
    key, message = str(item.get("key", "body")), str(item.get("message", ""))
    if message == repr(key):  # the framework's way to say that its argument has no value
        message = "is missing"
    if match := _PATTERN.match(message):
        message = f"Expected {_meaning(request.app, match['pattern'])}"
    handler: BaseRouteHandler | None = request.scope.get("route_handler")
    names: Mapping[str, str] = handler.opt.get(_NAMES, {}) if handler else {}
    name = "body" if item.get("source") == "body" and key == "data" else names.get(key, key)
    source = {"source": getattr(item["source"], "value", item["source"])} if "source" in item else {}
    return {"message": message, "key": name} | source


def _meaning(app: Litestar, quoted: str) -> str:
    """The description that goes with a regular expression in the API document, else the expression itself."""
    meanings: dict[str, str] | None = app.state.get("meanings")
    if meanings is None:
        schema = msgspec.to_builtins(app.openapi_schema.to_schema(), enc_hook=repr, str_keys=True)
        meanings = {repr(pattern): text for pattern, text in _described([schema])}
        app.state["meanings"] = meanings
    return meanings.get(quoted, f"text that matches {quoted}")


def _described(nodes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, dict):
            if isinstance(node.get("pattern"), str) and isinstance(node.get("description"), str):
                yield node["pattern"], node["description"]
            yield from _described(node.values())
        elif isinstance(node, list):
            yield from _described(node)
