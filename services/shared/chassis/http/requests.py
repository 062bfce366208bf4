"""The checks that every request passes, and error messages that name fields as the caller knows them.

Bodies must be declared as JSON and are decoded strictly: `"1"` is no number, `1` is no boolean, and no member may occur
twice. An unknown or repeated query parameter is refused: with a misspelt filter ignored, the response would answer a
different question.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Litestar, Request
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

from services.shared.chassis.http.problems import ProblemException
from services.shared.chassis.text import strings_in, text_error

# Keys of a handler's `opt`: what `register_parameters` stores for the checks.
_QUERY, _ALIASES, _HEADERS, _FORMS = "query parameters", "parameter aliases", "headers", "query parameter forms"
_PATTERN = re.compile(r"^Expected `str` matching regex (?P<pattern>'.*')$", re.DOTALL)
_PLACE = re.compile(r"^(?P<message>.*?)(?: - at `\$\.?(?P<key>.*)`)?$", re.DOTALL)


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body, if it has one, is JSON of the route's type."""

    async def json(self) -> Any:
        """Decode the body as the type of the route's `data`.

        Raises ProblemException: 415 for another content type or encoding, 400 for a body that cannot be decoded.
        """
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" and not re.fullmatch(r"application/[\w.-]+\+json", media_type):
            found = f"is {media_type!r}" if media_type else "is missing"
            raise ProblemException(415, "Unsupported media type", f"The Content-Type {found}; send application/json.")
        if (encoding := self.headers.get("content-encoding", "identity").strip().lower()) != "identity":
            problem = ProblemException(
                415, "Unsupported media type", f"The Content-Encoding is {encoding!r}; send the body without one."
            )
            problem.headers = {"Accept-Encoding": "identity"}
            raise problem
        field = self.route_handler.parsed_data_field
        return self._decode(await self.body(), Any if field is None else field.annotation)

    def _decode(self, body: bytes, kind: Any) -> Any:
        if not body:
            raise _bad_request("body", "is missing")
        try:
            value = msgspec.json.decode(body, type=kind)
            # parse_int=float: Python refuses to make an int of more than 4300 digits, and only strings are checked.
            for place, text in strings_in(json.loads(body, object_pairs_hook=_unique_members, parse_int=float)):
                if fault := text_error(text):
                    raise _bad_request(place or "body", fault)
        except msgspec.ValidationError as error:
            found = _PLACE.match(str(error))
            message, key = (found["message"], found["key"]) if found else (str(error), None)
            raise _bad_request(key or "body", _describe_pattern(self.app, message)) from error
        except msgspec.DecodeError as error:
            raise _bad_request("body", str(error)) from error
        except UnicodeDecodeError as error:
            raise _bad_request("body", "it is not UTF-8 text") from error
        except RecursionError as error:
            raise _bad_request("body", "it is nested too deeply") from error
        return value


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise _bad_request(next(name for name in names if names.count(name) > 1), "is given twice")
    return members


def _bad_request(key: str, message: str, source: str = "body") -> ProblemException:
    errors = [{"message": message, "key": key, "source": source}]
    return ProblemException(400, "Bad request", f"{key}: {message}", errors=errors)


def register_parameters(app: Litestar) -> None:
    """Store in each handler's `opt` the names that its parameters have in a request, and their required form."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                query, headers = model.expected_query_params, model.expected_header_params
                given = {*query, *headers, *model.expected_path_params}
                fields = handler.parsed_fn_signature.parameters
                handler.opt[_ALIASES] = {each.field_name: each.field_alias for each in given}
                handler.opt[_QUERY] = sorted(each.field_alias for each in query)
                handler.opt[_HEADERS] = sorted(each.field_alias for each in headers)
                handler.opt[_FORMS] = {
                    each.field_alias: form
                    for each in query
                    if each.field_name in fields and (form := _form(fields[each.field_name]))
                }


def _form(field: FieldDefinition) -> tuple[re.Pattern[str], str] | None:
    """The form of a value that Litestar would accept in other forms too: `1.0` as 1, `null` as None."""
    kinds = [inner.annotation for inner in field.inner_types] if field.is_union else [field.annotation]
    if int in kinds:
        return re.compile(r"-?[0-9]+"), "Expected a whole number"
    if type(None) in kinds and str not in kinds:
        return re.compile(r"(?!null$).*", re.IGNORECASE | re.DOTALL), "null is no value; leave the parameter out"
    return None


def check_parameters(request: Request[Any, Any, Any]) -> None:
    """Raise ProblemException (400) for a parameter that is unknown, repeated or not plain text."""
    opt = request.route_handler.opt
    known = opt[_QUERY]
    if fault := _decoded_text_error(request.scope["path"]):
        raise _bad_request("path", fault, "path")
    if request.scope["query_string"]:
        items = list(request.query_params.items())
        names = [name for name, _ in items]
        if unknown := [name for name in dict.fromkeys(names) if name not in known]:
            offer = f"known here: {', '.join(known)}" if known else "none is known here"
            raise ProblemException(
                400, "Bad request", f"unknown query parameter {', '.join(map(repr, unknown))}; {offer}", unknown=unknown
            )
        for name, value in items:
            form, meaning = opt[_FORMS].get(name, (None, ""))
            if names.count(name) > 1:
                raise _bad_request(name, "is given twice", "query")
            fault = _decoded_text_error(str(value))
            if fault or (form and not form.fullmatch(str(value))):
                raise _bad_request(name, fault or meaning, "query")
    for name in opt[_HEADERS]:
        if (value := request.headers.get(name)) and (fault := text_error(value)):
            raise _bad_request(name, fault, "header")


def _decoded_text_error(text: str) -> str | None:
    """`text_error` for percent-decoded text, in which bytes that are not UTF-8 have become U+FFFD."""
    return "is not UTF-8 text" if "\ufffd" in text else text_error(text)


def field_errors(request: Request[Any, Any, Any], error: ValidationException) -> list[dict[str, str]]:
    """The fields of FieldError for each parameter that Litestar found wrong."""
    items = error.extra if isinstance(error.extra, list) else []
    return [_field_error(request, item) for item in items if isinstance(item, dict)]


def _field_error(request: Request[Any, Any, Any], item: Mapping[str, Any]) -> dict[str, str]:
    key, message = str(item.get("key", "body")), str(item.get("message", ""))
    if message == repr(key):  # Litestar's message for an argument without a value
        message = "is missing"
    handler: BaseRouteHandler | None = request.scope.get("route_handler")
    aliases: Mapping[str, str] = handler.opt.get(_ALIASES, {}) if handler else {}
    name = "body" if item.get("source") == "body" and key == "data" else aliases.get(key, key)
    source = {"source": getattr(item["source"], "value", item["source"])} if "source" in item else {}
    return {"message": _describe_pattern(request.app, message), "key": name} | source


def _describe_pattern(app: Litestar, message: str) -> str:
    """Replace a regular expression in a message by its description in the OpenAPI document, if it has one."""
    if not (match := _PATTERN.match(message)):
        return message
    quoted = match["pattern"]
    return f"Expected {app.state['meanings'].get(quoted, f'text that matches {quoted}')}"


def described_patterns(node: Any) -> dict[str, str]:
    """Map each quoted regular expression in an OpenAPI document to its description."""
    found: dict[str, str] = {}
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str) and isinstance(node.get("description"), str):
            found[repr(node["pattern"])] = node["description"]
        node = list(node.values())
    for inner in node if isinstance(node, list) else ():
        found |= described_patterns(inner)
    return found
