"""The client of Prometheus, with answers that are not those of Prometheus."""

import json
from typing import Any

import pytest

from warren import prometheus_api
from warren.errors import ClientError
from warren.http import HttpResponse
from warren.prometheus_api import PrometheusApi


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"detail": "Not Found"}, "http://shop/api/v1/query is not Prometheus's API: it answers 404"),
        (["success"], "http://shop/api/v1/query is not Prometheus's API: it answers 404"),
        ({"status": "error", "error": "no such function"}, "Prometheus refuses the request (sum()): no such function"),
    ],
)
def test_an_answer_of_another_server_is_not_taken_for_a_refusal(
    monkeypatch: pytest.MonkeyPatch, document: Any, message: str
) -> None:
    answer = HttpResponse("http://shop", 404, json.dumps(document).encode())
    monkeypatch.setattr(prometheus_api, "request", lambda *_, **__: answer)
    with pytest.raises(ClientError) as failure:
        PrometheusApi("http://shop").query("sum()")
    assert str(failure.value) == message
