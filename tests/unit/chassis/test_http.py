"""The responses of every service to invalid requests, independent of its routes."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import asyncpg
import httpx
import msgspec
import pytest
from litestar import get, post
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter

from services.shared.chassis.http.application import application
from services.shared.chassis.http.problems import problem_responses
from services.shared.chassis.text import TEXT_RULE
from warren_messaging.errors import ConfigurationError, DatabaseUnavailable

JSON = {"Content-Type": "application/json"}

Word = Annotated[str, msgspec.Meta(pattern=r"^\S+$", description="a word without spaces")]


class Extensible(msgspec.Struct):
    pass


class Note(msgspec.Struct, forbid_unknown_fields=True):
    title: Word
    tags: list[Word] = []
    urgent: bool = False
    most: int = 0
    any: Any = None
    extensible: Extensible | None = None


@post("/notes", responses=problem_responses({}))
async def write(
    data: JSONBody[Note],
    idempotency_key: Annotated[
        str | None, HeaderParameter(name="Note-Key", pattern="^[0-9]+$", description="digits", required=False)
    ] = None,
) -> None:
    assert data.title and (idempotency_key is None or idempotency_key.isdigit())


@get("/notes/{name:str}")
async def read(
    name: Annotated[str, PathParameter(pattern=r"^\D+$")],
    most: Annotated[int, QueryParameter(name="limit", ge=1)] = 1,
    kind: Annotated[Literal["a", "b"] | None, QueryParameter()] = None,
) -> str:
    assert kind in {None, "a", "b"}
    return name * most


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=application([write, read], title="notes"))
    async with httpx.AsyncClient(transport=transport, base_url="http://notes") as client:
        yield client


async def test_a_number_of_any_length_is_accepted_in_an_ignored_field(http: httpx.AsyncClient) -> None:
    body = b'{"title": "a", "extensible": {"x": ' + b"9" * 5000 + b"}}"
    assert (await http.post("/notes", content=body, headers=JSON)).status_code == 201


async def _refused(http: httpx.AsyncClient, body: bytes, **headers: str) -> tuple[int, str]:
    response = await http.post("/notes", content=body, headers=JSON | headers)
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "body: is missing"),
        (b"null", "body: Expected `object`, got `null`"),
        (b'{"title": "caf\xff"}', "body: it is not UTF-8 text"),
        (b'{"title": ' + b"[" * 20_000, "title: Expected `str`, got `array`"),
        (b'{"x":' * 9_000 + b"1" + b"}" * 9_000, "body: Object contains unknown field `x`"),
        (b'{"title": "a", "any": ' + b"[" * 20_000, "body: it is nested too deeply"),
        (
            b'{"title": "a", "any": {"x":' + b'{"x":' * 9_000 + b"1" + b"}" * 9_001 + b"}",
            "body: it is nested too deeply",
        ),
        (b'{"title": 1}', "title: Expected `str`, got `int`"),
        (b'{"title": "a", "urgent": 1}', "urgent: Expected `bool`, got `int`"),
        (b'{"title": "a", "most": "1"}', "most: Expected `int`, got `str`"),
        (b'{"title": "a", "title": "a"}', "title: is given twice"),
        (b'{"title": "a", "any": [{"b": 1, "b": 1}]}', "b: is given twice"),
        (b'{"title": "a\\u0000"}', f"title: contains U+0000; {TEXT_RULE} are allowed here"),
        ('{"title": "a", "tags": ["\x9b"]}'.encode(), f"tags[0]: contains U+009B; {TEXT_RULE} are allowed here"),
        (b'{"title": "a", "any": {"\\u202e": 1}}', f"any: contains U+202E; {TEXT_RULE} are allowed here"),
        (b"{", "body: Input data was truncated"),
        (b'{"title": "two words"}', "title: Expected a word without spaces"),
        (b'{"title": "a", "tags": ["b", "c d"]}', "tags[1]: Expected a word without spaces"),
    ],
)
async def test_an_invalid_body_is_refused_with_the_reason(http: httpx.AsyncClient, body: bytes, detail: str) -> None:
    assert await _refused(http, body) == (400, detail)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "rubbish", ""])
async def test_a_body_of_another_content_type_is_refused(http: httpx.AsyncClient, content_type: str) -> None:
    assert (await _refused(http, b'{"title": "a"}', **{"Content-Type": content_type}))[0] == 415


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/merge+json"]
)
async def test_every_json_content_type_is_accepted(http: httpx.AsyncClient, content_type: str) -> None:
    response = await http.post("/notes", content=b'{"title": "a"}', headers={"Content-Type": content_type})
    assert response.status_code == 201, response.text


async def test_an_error_names_the_parameter_as_the_request_does(http: httpx.AsyncClient) -> None:
    response = await http.get("/notes/a?limit=0")
    assert (response.status_code, response.json()["detail"]) == (400, "limit: Expected `int` >= 1")
    assert response.json()["errors"] == [{"key": "limit", "message": "Expected `int` >= 1", "source": "query"}]
    assert await _refused(http, b'{"title": "a"}', **{"Note-Key": "x"}) == (400, "Note-Key: Expected digits")


async def test_an_error_shows_a_pattern_without_a_description(http: httpx.AsyncClient) -> None:
    assert (await http.get("/notes/4")).json()["detail"] == r"name: Expected text that matches '^\\D+$'"


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("limit=1.0", "limit: Expected a whole number"),
        ("limit=null", "limit: Expected a whole number"),
        ("limit=1&limit=2", "limit: is given twice"),
        ("kind=null", "kind: null is no value; leave the parameter out"),
        ("kind=%C2%9B", f"kind: contains U+009B; {TEXT_RULE} are allowed here"),
        ("kind=%FF", "kind: is not UTF-8 text"),
    ],
)
async def test_a_query_parameter_has_the_documented_form(http: httpx.AsyncClient, query: str, detail: str) -> None:
    response = await http.get(f"/notes/a?{query}")
    assert (response.status_code, response.json()["detail"]) == (400, detail)
    assert response.json()["errors"][0]["source"] == "query"


@pytest.mark.parametrize("name", ["%00", "a%C2%85", "a%E2%80%AEb", "%ED%A0%80", "%FF"])
async def test_a_path_is_plain_text(http: httpx.AsyncClient, name: str) -> None:
    assert (await http.get(f"/notes/{name}")).status_code == 400


async def test_a_compressed_body_is_refused_with_the_accepted_encoding(http: httpx.AsyncClient) -> None:
    response = await http.post("/notes", content=b"\x1f\x8b", headers=JSON | {"Content-Encoding": "gzip"})
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "identity")
    assert "'gzip'" in response.json()["detail"]


async def test_head_is_get_without_a_body_and_options_names_every_method(http: httpx.AsyncClient) -> None:
    got, head = await http.get("/notes/a"), await http.head("/notes/a")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert (await http.options("/notes")).headers["allow"] == "OPTIONS, POST"
    assert (await http.options("/notes/a")).headers["allow"] == "GET, HEAD, OPTIONS"
    refused = await http.head("/notes")
    assert (refused.status_code, refused.headers["allow"]) == (405, "OPTIONS, POST")


async def test_the_root_lists_all_routes(http: httpx.AsyncClient) -> None:
    index = (await http.get("/")).json()
    assert {"method": "POST", "path": "/notes", "summary": "Write"} in index["routes"]
    assert (await http.get(index["openapi"])).json()["info"]["title"] == index["service"] == "notes"
    for path in ("/elsewhere", "/schema/elsewhere"):
        response = await http.get(path)
        assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
        assert response.json()["detail"] == f"There is nothing at {path!r}. GET / lists what there is."


async def test_an_unknown_query_parameter_is_refused_and_the_known_ones_are_named(http: httpx.AsyncClient) -> None:
    response = await http.get("/notes/a?limits=3&most=2")
    assert (response.status_code, response.json()["unknown"]) == (400, ["limits", "most"])
    assert response.json()["detail"] == "unknown query parameter 'limits', 'most'; known here: kind, limit"
    assert (
        (await http.post("/notes?dry-run=1", content=b"{}", headers=JSON))
        .json()["detail"]
        .endswith("none is known here")
    )


async def test_the_document_describes_token_and_errors(http: httpx.AsyncClient) -> None:
    document = (await http.get("/schema/openapi.json")).json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert document["security"] == [{"token": []}]
    problem = document["components"]["schemas"]["ProblemDetails"]["properties"]
    assert {"type", "title", "status", "detail", "instance", "errors"} == set(problem)


@pytest.mark.parametrize(
    "error",
    [
        DatabaseUnavailable("no server answers"),
        ConfigurationError("the server refused the password, which is being changed"),
        TimeoutError(),
        asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
    ],
)
async def test_an_unavailable_server_gives_503_with_retry_after(error: Exception) -> None:
    @get("/notes")
    async def fail() -> None:
        raise error

    transport = httpx.ASGITransport(app=application([fail], title="notes"))
    async with httpx.AsyncClient(transport=transport, base_url="http://notes") as client:
        response = await client.get("/notes")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    assert "password" not in response.text
