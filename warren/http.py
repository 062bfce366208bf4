"""HTTP requests with the standard library: the import of httpx would take most of a command's time."""

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

TIMEOUT = 30.0  # seconds


class NoResponse(Exception):
    """The server did not respond; the text says why."""


class HttpResponse(NamedTuple):
    url: str
    status: int
    body: bytes

    @property
    def is_error(self) -> bool:
        return self.status >= 400


def basic_auth(username: str, password: str) -> dict[str, str]:
    """Return the header of HTTP basic authentication."""
    return {"Authorization": f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"}


def request(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    ca_file: Path | None = None,
    timeout: float = TIMEOUT,
) -> HttpResponse:
    """Send one request and read the whole response, whatever its status. Raises NoResponse."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise NoResponse(f"{url!r} is not http://host:port")
    try:
        sent = urllib.request.Request(url, body, dict(headers or {}), method=method)  # noqa: S310 - checked above
        tls = ssl.create_default_context(cafile=ca_file) if url.startswith("https") else None
        with urllib.request.urlopen(sent, timeout=timeout, context=tls) as response:  # noqa: S310
            return HttpResponse(url, response.status, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return HttpResponse(url, error.code, error.read())
    except urllib.error.URLError as error:
        raise NoResponse(str(error.reason) or type(error.reason).__name__) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoResponse(str(error) or type(error).__name__) from error
