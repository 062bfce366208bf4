"""The HTTP application of a service: RFC 9457 problems, limits, an OpenAPI document, and an index of its routes."""

from typing import Any

import structlog
from asyncpg import LockNotAvailableError
from litestar import Litestar, Request, Response, Router
from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException
from litestar.types import ControllerRouterHandler, Message, Send
from litestar.utils import normalize_path

from services.shared.chassis.http.access_log import request_fields
from services.shared.chassis.http.openapi import index_routes, openapi_document
from services.shared.chassis.http.problems import ProblemException, encode_problem
from services.shared.chassis.http.requests import (
    JsonRequest,
    check_parameters,
    described_patterns,
    field_errors,
    register_parameters,
)
from services.shared.chassis.metrics import HTTP_METRICS
from warren_messaging.errors import ConfigurationError, Unavailable

MAX_BODY = 64 * 1024  # bytes
TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    413: "Body too large",
    415: "Unsupported media type",
    429: "Too many requests",
}


class HttpApplication(Litestar):
    """Litestar that also answers HEAD wherever there is GET, and OPTIONS with every method of a path.

    The process configures logging: Litestar's configuration lets libraries log each request that they send.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, logging_config=None, **options)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        method = scope.get("method")
        if method == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        elif method == "OPTIONS" and (allowed := self._allowed_methods(scope["path"])):
            await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allowed.encode())]})
            await send({"type": "http.response.body", "body": b""})
            return
        await super().__call__(scope, receive, send)

    def _allowed_methods(self, path: str) -> str | None:
        try:
            self.asgi_router.handle_routing(path=normalize_path(path), method="TRACE")
        except MethodNotAllowedException as error:
            return _with_head((error.headers or {})["allow"])
        except HTTPException:
            return None
        return None


def _with_head(allowed: str) -> str:
    methods = {name.strip() for name in allowed.split(",")}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message["body"] = b""
        await send(message)

    return send_head


def application(routes: list[ControllerRouterHandler], *, title: str, index: str = "/") -> Litestar:
    """Build the application. It serves its OpenAPI document at /schema/openapi.json, and a list of its routes at /
    and at `index`."""
    document = openapi_document(routes, title=title)
    paths = list(dict.fromkeys(["/", index]))
    checked = Router(path="/", route_handlers=[*routes, index_routes(document, paths)], before_request=check_parameters)
    app = HttpApplication(
        route_handlers=[checked],
        request_class=JsonRequest,
        request_max_body_size=MAX_BODY,
        middleware=[HTTP_METRICS.middleware],
        openapi_config=None,
        exception_handlers={
            Unavailable: _unavailable,
            ConfigurationError: _unavailable,
            TimeoutError: _unavailable,
            LockNotAvailableError: _unavailable,
            HTTPException: http_error_response,
            Exception: _unexpected,
        },
    )
    register_parameters(app)
    app.state["document"] = document
    app.state["meanings"] = described_patterns(document)
    return app


def _problem(
    request: Request[Any, Any, Any],
    status: int,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
    **members: object,
) -> Response[bytes]:
    body = encode_problem(status, title, detail, instance=request.url.path, **members)
    return Response(body, status_code=status, media_type="application/problem+json", headers=headers)


def http_error_response(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    headers = dict(error.headers or {})
    if isinstance(error, ProblemException):
        return _problem(request, error.status_code, error.title, error.detail, headers, **error.members)
    members: dict[str, object] = {}
    detail = error.detail
    if error.status_code == 404:
        detail = f"There is nothing at {request.url.path!r}. GET / lists what there is."
    if "allow" in headers:
        headers["allow"] = allowed = _with_head(headers["allow"])
        detail = f"{request.method} is not possible here; {allowed} are."
    if isinstance(error, ValidationException):
        # Litestar's own text repeats the request line; the caller needs the field and the reason.
        errors = field_errors(request, error)
        members = {"errors": errors}
        detail = "; ".join(f"{each['key']}: {each['message']}" for each in errors) or detail
    title = TITLES.get(error.status_code, "Request failed")
    return _problem(request, error.status_code, title, detail, headers, **members)


def _unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer 503. A wrong password is temporary for the caller too: it may be in rotation."""
    log = structlog.get_logger()
    report = log.error if isinstance(error, ConfigurationError) else log.warning
    report("request refused", **request_fields(request.scope), reason=str(error))
    detail = "A server that this service needs is unavailable or too slow. Send the request again."
    return _problem(request, 503, "Temporarily unavailable", detail, {"Retry-After": "2"})


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    structlog.get_logger().error("request failed", **request_fields(request.scope), exc_info=error)
    return _problem(request, 500, "Internal error", "The error was logged; the request may be retried.")
