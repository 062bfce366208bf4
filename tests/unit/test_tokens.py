"""The services accept the tokens that `warren token` prints."""

from pathlib import Path

import pytest

from services.shared.chassis.http.auth import AuthGuard
from services.shared.chassis.http.problems import ProblemException
from tests.unit.chassis.test_auth import settings
from warren.errors import WarrenError
from warren.tokens import sign


def guard(key_file: Path) -> AuthGuard:
    return AuthGuard(settings(token_key_file=key_file))


def test_a_token_names_its_user_and_role(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k" * 40 + "\n")
    caller = guard(key).authenticate(f"Bearer {sign('gayal', key, role='staff')}")
    assert (caller.subject, caller.role) == ("gayal", "staff")


def test_a_token_expires(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k" * 40)
    with pytest.raises(ProblemException, match="expired"):
        guard(key).authenticate(f"Bearer {sign('gayal', key, seconds=-60)}")


def test_a_missing_or_short_key_is_reported(tmp_path: Path) -> None:
    with pytest.raises(WarrenError, match="cannot be read: No such file"):
        sign("gayal", tmp_path / "none")
    (tmp_path / "short").write_text("k")
    with pytest.raises(WarrenError, match="has 1 bytes; at least 32"):
        sign("gayal", tmp_path / "short")
