"""One line for each answered request, without what the client chose."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import structlog
from litestar import Response, get, post
from litestar.params import FromPath
from structlog.testing import capture_logs

from services.shared.chassis.http.access_log import AccessLog
from services.shared.chassis.http.application import application

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
ORDER = uuid4()


@post("/orders", status_code=202, sync_to_thread=False)
def place() -> Response[str]:
    structlog.get_logger().info("placing")
    return Response("ok", status_code=202, headers={"Location": f"/orders/{ORDER}"})


@get("/orders/{order_id:uuid}", sync_to_thread=False)
def read(order_id: FromPath[UUID]) -> str:
    return str(order_id)


@get("/customers/{name:str}", sync_to_thread=False)
def fail(name: FromPath[str]) -> str:
    raise KeyError(name)


async def lines_of(method: str, path: str, **headers: str) -> list[Any]:
    app = AccessLog(application([place, read, fail], title="probe"))
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://probe") as client:
            await client.request(method, path, headers=headers)
    return lines


async def test_a_request_has_its_route_status_order_and_trace() -> None:
    inner, line = await lines_of("POST", "/orders", traceparent=TRACEPARENT)
    assert line.pop("ms") >= 0
    assert line == {
        "event": "request answered",
        "log_level": "info",
        "method": "POST",
        "route": "/orders",
        "status": 202,
        "subject": str(ORDER),
        "trace_id": TRACE,
    }
    assert (inner["event"], inner["trace_id"]) == ("placing", TRACE)


async def test_the_order_of_a_path_is_logged_and_nothing_else_of_it() -> None:
    (line,) = await lines_of("GET", f"/orders/{ORDER}?email=ada@example.com")
    assert (line["route"], line["subject"], line["trace_id"]) == ("/orders/{order_id}", str(ORDER), None)
    (line,) = await lines_of("GET", "/nothing/ada@example.com", traceparent="nonsense")
    assert (line["route"], line["subject"], line["status"], line["trace_id"]) == (None, None, 404, None)


async def test_a_failed_request_is_logged_by_its_route_too() -> None:
    failed, answered = await lines_of("GET", "/customers/ada", traceparent=TRACEPARENT)
    assert (failed["event"], failed["route"], failed["trace_id"]) == ("request failed", "/customers/{name}", TRACE)
    assert (answered["status"], answered["route"]) == (500, "/customers/{name}")
    assert "ada" not in f"{failed | {'exc_info': None}}{answered}"
