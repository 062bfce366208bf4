from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.email.domain import Mail, domain_of

NOTIFICATION = UUID("0198c0de-0000-7000-8000-000000000001")
SENDER = "Warren <orders@warren.test>"


def composed(title: str = "Title", text: str = "Text", address: str = "ada@example.test") -> EmailMessage:
    mail = Mail(NOTIFICATION, datetime(2026, 1, 2, tzinfo=UTC), address, title, text)
    sent = message_from_bytes(mail.compose(SENDER).as_bytes(), policy=policy.default)
    assert isinstance(sent, EmailMessage)
    return sent


def test_a_mail_says_who_to_whom_and_what() -> None:
    mail = composed("Größe 42", "Grüße\nund €")
    assert (mail["From"], mail["To"], mail["Subject"]) == (SENDER, "ada@example.test", "Größe 42")
    assert mail.get_content().splitlines() == ["Grüße", "und €"]


def test_the_message_id_depends_on_the_notification_alone() -> None:
    assert composed("a")["Message-ID"] == composed("b")["Message-ID"] == f"<{NOTIFICATION}@warren.test>"


@given(st.text(), st.text())
def test_no_title_or_text_adds_a_header(title: str, text: str) -> None:
    mail = composed(title, text)
    assert sorted(mail.keys()) == sorted(composed().keys())
    assert not mail.defects


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028", "\0"])
def test_a_line_break_in_a_title_becomes_a_space(break_: str) -> None:
    mail = composed(f"Hello{break_}Bcc: eve@example.test")
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Hello Bcc: eve@example.test"


@pytest.mark.parametrize("sender", ["orders@warren.test", "Warren <orders@warren.test>"])
def test_the_domain_of_a_sender(sender: str) -> None:
    assert domain_of(sender) == "warren.test"
