"""Who is calling over HTTP: a bearer token says so, or nobody is asked (`local`, on loopback only).

A token is a JWT signed with HS256. `sub` names the caller, `role` what the caller may do beyond being a customer.
"""

from pathlib import Path
from typing import Any, Literal

import jwt
import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from services.shared.chassis.http.problems import Problem
from services.shared.chassis.settings import ProcessSettings, is_loopback
from services.shared.chassis.text import text_error
from warren_messaging.errors import ConfigurationError

MIN_KEY_BYTES = 32  # bytes, as RFC 7518 asks for HS256
MAX_SUBJECT_LENGTH = 100  # characters
LEEWAY = 5  # seconds that the clocks of issuer and service may differ

STAFF = "staff"


class AuthSettings(ProcessSettings, frozen=True, kw_only=True):
    """Settings of a process that answers people."""

    auth: Literal["token", "local"] = "token"
    """`local` takes every caller's word and is refused unless the service listens on loopback."""
    token_key_file: Path = Path()
    """The key that tokens are signed with; required for `token`, read again when the file changes."""
    token_audience: str = ""
    """What a token's `aud` must contain. Not set: tokens that name an audience are refused, as RFC 7519 asks of a
    service that has none."""


class Identity(msgspec.Struct, frozen=True):
    subject: str | None
    """Who calls; None in the `local` profile, where whoever a request names is believed."""
    role: str | None = None

    def may_act_for(self, subject: str) -> bool:
        return self.subject is None or self.subject == subject


class AuthGuard:
    """A Litestar guard: lets a request pass when its caller is known (and has `role`, if one is asked for).

    It runs before the body is read. Afterwards `caller_of(request)` is who passed.
    Raises ConfigurationError when made from settings that would leave the door open.
    """

    def __init__(self, settings: AuthSettings, *, role: str | None = None) -> None:
        self._role = role
        self._audience = settings.token_audience or None
        self._keys: _KeyFile | None = None
        if settings.auth == "token":
            if settings.token_key_file == Path():
                raise ConfigurationError("WARREN_AUTH=token needs WARREN_TOKEN_KEY_FILE")
            self._keys = _KeyFile(settings.token_key_file)
            self._keys.read()
        elif not is_loopback(settings.http_host):
            raise ConfigurationError(
                f"WARREN_AUTH=local asks nobody who they are, so it is for loopback only, and WARREN_HTTP_HOST is"
                f" {settings.http_host!r}: listen on 127.0.0.1 or set WARREN_AUTH=token"
            )

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        connection.state.identity = self.identify(connection.headers.get("authorization"))

    def identify(self, authorization: str | None) -> Identity:
        """Raises Problem: 401 for a missing, expired or invalid token, 403 when the role is lacking."""
        if self._keys is None:
            return Identity(None, self._role)
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("Send a header 'Authorization: Bearer <token>'.")
        try:
            claims = jwt.decode(
                token.strip(),
                self._keys.read(),
                algorithms=["HS256"],
                options={"require": ["exp", "sub"]},
                audience=self._audience,
                leeway=LEEWAY,
            )
        except jwt.ExpiredSignatureError:
            raise _unauthorized("The token has expired.", "invalid_token") from None
        except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError) as error:
            raise self._refusal(error) from None
        except jwt.PyJWTError as error:
            raise _unauthorized(f"The token is not valid: {error}.", "invalid_token") from None
        subject, role = claims["sub"], claims.get("role")
        if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT_LENGTH or text_error(subject):
            raise _unauthorized("The token's 'sub' names nobody.", "invalid_token")
        if self._role is not None and role != self._role:
            raise Problem(403, "Forbidden", f"This needs a token with the role {self._role!r}.")
        return Identity(subject, role if isinstance(role, str) else None)

    def _refusal(self, error: jwt.PyJWTError) -> Problem:
        """A token for another audience than ours, or without a claim that is needed."""
        if isinstance(error, jwt.MissingRequiredClaimError) and error.claim != "aud":
            return _unauthorized(f"The token is not valid: it has no {error.claim!r}.", "invalid_token")
        if self._audience is None:
            return _unauthorized(
                "The token is for an audience ('aud'), and this service has none: see WARREN_TOKEN_AUDIENCE.",
                "invalid_token",
            )
        return _unauthorized(f"The token is not for the audience {self._audience!r}: see its 'aud'.", "invalid_token")


def caller_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Identity:
    """Whom the guard let pass."""
    identity = connection.state.identity
    if not isinstance(identity, Identity):
        raise TypeError("no guard guards this route")
    return identity


class _KeyFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._key = b""

    def read(self) -> bytes:
        try:
            stat = self._path.stat()
            if (stamp := (stat.st_mtime_ns, stat.st_ino)) != self._stamp:
                self._key, self._stamp = self._checked(self._path.read_bytes().strip()), stamp
        except OSError as error:
            raise ConfigurationError(f"cannot read the token key {self._path}: {error.strerror}") from error
        return self._key

    def _checked(self, key: bytes) -> bytes:
        if len(key) < MIN_KEY_BYTES:
            raise ConfigurationError(f"the token key in {self._path} is shorter than {MIN_KEY_BYTES} bytes")
        return key


def _unauthorized(detail: str, error: str | None = None) -> Problem:
    problem = Problem(401, "Not authenticated", detail)
    problem.headers = {"WWW-Authenticate": "Bearer" + (f' error="{error}"' if error else "")}
    return problem
