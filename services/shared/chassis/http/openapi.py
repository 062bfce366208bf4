"""The OpenAPI document of a service, and an index of its routes."""

from typing import Any

import msgspec
from litestar import Litestar, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.response import Response
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler

PATH = "/schema/openapi.json"
VERSION = "0.1.0"
"""Version of the HTTP interfaces."""

_TOKEN = SecurityScheme(
    type="http",
    scheme="bearer",
    bearer_format="JWT",
    description="Names the caller (`sub`). Not required if the service runs with WARREN_AUTH=local.",
)


def openapi_document(routes: list[ControllerRouterHandler], *, title: str) -> dict[str, Any]:
    """Return the document that Litestar derives from the routes, with rules that msgspec checks and Litestar omits."""
    app = Litestar(
        routes,
        openapi_config=OpenAPIConfig(
            title=title,
            version=VERSION,
            components=Components(security_schemes={"token": _TOKEN}),
            security=[{"token": []}],
        ),
    )
    document: dict[str, Any] = msgspec.to_builtins(app.openapi_schema.to_schema(), enc_hook=str, str_keys=True)
    # Litestar omits patterns inside unions, and that a struct forbids other members. msgspec's schemas have both.
    bodies = [field.annotation for handler in _handlers(app) if (field := handler.parsed_data_field)]
    _, schemas = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters") or []:
                parameter["schema"] = _without_null(parameter["schema"])
    return document


def _handlers(app: Litestar) -> list[Any]:
    return [handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is left out or has a value; it cannot be null."""
    kinds = [kind for kind in schema.get("oneOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    return {**kinds[0], **{name: value for name, value in schema.items() if name != "oneOf"}}


def index_routes(document: dict[str, Any], paths: list[str]) -> Router:
    """Build the routes of the document, and of a list of all routes at `paths`. Both need no token."""
    body = msgspec.json.encode(document)
    index = {
        "service": document["info"]["title"],
        "openapi": PATH,
        "routes": [
            {"method": method.upper(), "path": path, "summary": operation.get("summary", "")}
            for path, item in sorted(document["paths"].items())
            for method, operation in sorted(item.items())
        ],
    }

    @get(["/schema", PATH], include_in_schema=False, sync_to_thread=False)
    def openapi() -> Response[bytes]:
        return Response(body, media_type="application/vnd.oai.openapi+json")

    @get(paths, include_in_schema=False, sync_to_thread=False)
    def overview() -> Response[bytes]:
        return Response(msgspec.json.format(msgspec.json.encode(index)), media_type="application/json")

    return Router(path="/", route_handlers=[openapi, overview])
