"""Authentication of HTTP callers by bearer tokens. With WARREN_AUTH=local, on loopback only, nothing is checked.

A token is a JWT signed with HS256. `sub` names the caller; `role` grants rights beyond those of a customer.
"""

from pathlib import Path
from typing import Any, Literal

import jwt
import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from services.shared.chassis.http.problems import ProblemException
from services.shared.chassis.settings import ProcessSettings, is_loopback
from services.shared.chassis.text import text_error
from warren_messaging.errors import ConfigurationError

MIN_KEY_BYTES = 32  # RFC 7518 for HS256
MAX_SUBJECT_LENGTH = 100  # characters
LEEWAY = 5  # seconds by which the clocks of issuer and service may differ

STAFF = "staff"


class AuthSettings(ProcessSettings, frozen=True, kw_only=True):
    """Settings of a process with an HTTP API."""

    auth: Literal["token", "local"] = "token"
    """`local` trusts every caller, and is refused unless the service listens on loopback."""
    token_key_file: Path = Path()
    """File with the key that signs tokens. Required with `token`; read again when it changes."""
    token_audience: str = ""
    """Every token must name it in `aud`. Not set: a token that names an audience is refused, as RFC 7519 requires."""


class Identity(msgspec.Struct, frozen=True):
    """The caller of a request."""

    subject: str | None
    """The caller's name. None with WARREN_AUTH=local: such a caller may act for every customer."""
    role: str | None = None

    def may_act_for(self, subject: str) -> bool:
        return self.subject is None or self.subject == subject


class AuthGuard:
    """A Litestar guard that accepts requests of authenticated callers, if `role` is set only of callers with that role.

    It runs before the body is read. `caller_of(request)` returns the caller afterwards. The constructor raises
    ConfigurationError for settings that would accept unauthenticated requests from other machines.
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
                f"WARREN_AUTH=local checks no token and is for loopback only, but WARREN_HTTP_HOST is"
                f" {settings.http_host!r}: listen on 127.0.0.1 or set WARREN_AUTH=token"
            )

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        connection.state.caller = self.authenticate(connection.headers.get("authorization"))

    def authenticate(self, authorization: str | None) -> Identity:
        """Return the caller.

        Raises ProblemException: 401 for a missing, expired or invalid token, 403 for a missing role.
        """
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
            raise self._claim_problem(error) from None
        except jwt.PyJWTError as error:
            raise _unauthorized(f"The token is not valid: {error}.", "invalid_token") from None
        subject, role = claims["sub"], claims.get("role")
        if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT_LENGTH or text_error(subject):
            raise _unauthorized("The token's 'sub' is not a name of 1 to 100 characters.", "invalid_token")
        if self._role is not None and role != self._role:
            raise ProblemException(403, "Forbidden", f"This request needs a token with the role {self._role!r}.")
        return Identity(subject, role if isinstance(role, str) else None)

    def _claim_problem(self, error: jwt.PyJWTError) -> ProblemException:
        """Return the problem for a token with a missing required claim or another audience."""
        if isinstance(error, jwt.MissingRequiredClaimError) and error.claim != "aud":
            return _unauthorized(f"The token is not valid: it has no {error.claim!r}.", "invalid_token")
        if self._audience is None:
            return _unauthorized(
                "The token names an audience ('aud'), but WARREN_TOKEN_AUDIENCE is not set at this service.",
                "invalid_token",
            )
        return _unauthorized(f"The token does not name the audience {self._audience!r} in its 'aud'.", "invalid_token")


def caller_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Identity:
    """Return the caller that AuthGuard has authenticated."""
    caller = connection.state.caller
    if not isinstance(caller, Identity):
        raise TypeError("this route has no AuthGuard")
    return caller


class _KeyFile:
    """The signing key in a file, read again when the file changes."""

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


def _unauthorized(detail: str, error: str | None = None) -> ProblemException:
    problem = ProblemException(401, "Not authenticated", detail)
    problem.headers = {"WWW-Authenticate": "Bearer" + (f' error="{error}"' if error else "")}
    return problem
