"""AuthGuard admits only callers with a valid token, and its key can be changed."""

import os
import time
from pathlib import Path

import jwt
import msgspec
import pytest

from services.shared.chassis.http.auth import STAFF, AuthGuard, AuthSettings
from services.shared.chassis.http.problems import ProblemException
from services.shared.chassis.settings import ENV_PREFIX
from warren_messaging.errors import ConfigurationError
from warren_messaging.settings import load_settings

KEYS = ("a" * 40, "b" * 40)


def settings(**fields: object) -> AuthSettings:
    nowhere = Path()
    base = AuthSettings(
        database_url="",
        database_password_file=nowhere,
        database_ca_file=nowhere,
        broker_url="",
        broker_credentials=nowhere,
        broker_ca_file=nowhere,
    )
    return msgspec.structs.replace(base, **fields)


def token(key: str, **claims: object) -> str:
    return "Bearer " + jwt.encode({"sub": "gayal", "exp": time.time() + 60} | claims, key)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "shop.test", ""])  # noqa: S104
def test_local_authentication_needs_a_loopback_address(host: str) -> None:
    with pytest.raises(ConfigurationError, match="loopback"):
        AuthGuard(settings(auth="local", http_host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_local_authentication_trusts_every_caller(host: str) -> None:
    caller = AuthGuard(settings(auth="local", http_host=host), role=STAFF).authenticate(None)
    assert caller.may_act_for("anyone")


def test_a_missing_or_short_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="WARREN_TOKEN_KEY_FILE"):
        AuthGuard(settings())
    with pytest.raises(ConfigurationError, match="No such file"):
        AuthGuard(settings(token_key_file=tmp_path / "key"))
    (tmp_path / "key").write_text("short")
    with pytest.raises(ConfigurationError, match="shorter than 32 bytes"):
        AuthGuard(settings(token_key_file=tmp_path / "key"))


@pytest.mark.parametrize(
    ("audience", "claims", "refused"),
    [
        ("", {}, None),
        ("", {"aud": "warren"}, "WARREN_TOKEN_AUDIENCE is not set"),
        ("warren", {"aud": "warren"}, None),
        ("warren", {"aud": ["billing", "warren"]}, None),
        ("warren", {"aud": "billing"}, "does not name the audience 'warren'"),
        ("warren", {"aud": [1, None]}, "does not name the audience 'warren'|not valid"),
        ("warren", {}, "does not name the audience 'warren'"),
    ],
)
def test_a_token_must_name_the_audience(tmp_path: Path, audience: str, claims: dict[str, object], refused: str) -> None:
    (tmp_path / "key").write_text(KEYS[0])
    guard = AuthGuard(settings(token_key_file=tmp_path / "key", token_audience=audience))
    if refused is None:
        assert guard.authenticate(token(KEYS[0], **claims)).subject == "gayal"
    else:
        with pytest.raises(ProblemException, match=refused) as problem:
            guard.authenticate(token(KEYS[0], **claims))
        assert problem.value.status_code == 401


def test_a_changed_key_takes_effect_at_once(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEYS[0])
    guard = AuthGuard(settings(token_key_file=path))
    assert guard.authenticate(token(KEYS[0])).subject == "gayal"
    path.write_text(KEYS[1])
    os.utime(path, (1, 1))
    assert guard.authenticate(token(KEYS[1])).subject == "gayal"
    with pytest.raises(ProblemException):
        guard.authenticate(token(KEYS[0]))


@pytest.mark.parametrize(("claims", "passes"), [({"role": STAFF}, True), ({"role": "customer"}, False), ({}, False)])
def test_a_role_is_required(tmp_path: Path, claims: dict[str, object], passes: bool) -> None:
    (tmp_path / "key").write_text(KEYS[0])
    guard = AuthGuard(settings(token_key_file=tmp_path / "key"), role=STAFF)
    if passes:
        assert guard.authenticate(token(KEYS[0], **claims)).role == STAFF
    else:
        with pytest.raises(ProblemException) as refused:
            guard.authenticate(token(KEYS[0], **claims))
        assert refused.value.status_code == 403


def test_tokens_are_the_default() -> None:
    files = ("DATABASE_PASSWORD_FILE", "DATABASE_CA_FILE", "BROKER_CREDENTIALS", "BROKER_CA_FILE")
    environment = {f"WARREN_{name}": "x" for name in files} | {
        "WARREN_DATABASE_URL": "postgresql://x@localhost/warren",
        "WARREN_BROKER_URL": "amqps://localhost/orders",
    }
    assert load_settings(AuthSettings, ENV_PREFIX, environment).auth == "token"
    with pytest.raises(ConfigurationError, match="WARREN_AUTH='open'"):
        load_settings(AuthSettings, ENV_PREFIX, environment | {"WARREN_AUTH": "open"})
