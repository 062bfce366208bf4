from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.email.channel import compose, domain_of
from tests.services import notification

SENDER = "Warren <orders@warren.test>"


def composed(title: str = "Title", text: str = "Text") -> EmailMessage:
    mail = compose(notification(title, text, email="ada@example.test"), SENDER)
    sent = message_from_bytes(mail.as_bytes(), policy=policy.default)
    assert isinstance(sent, EmailMessage)
    return sent


def test_a_mail_has_sender_recipient_and_words() -> None:
    mail = composed("Größe 42", "Grüße\nund €")
    assert (mail["From"], mail["To"], mail["Subject"]) == (SENDER, "ada@example.test", "Größe 42")
    assert mail.get_content().splitlines() == ["Grüße", "und €"]


def test_the_message_id_is_the_notifications_id() -> None:
    event: Any = notification(email="ada@example.test")
    assert compose(event, SENDER)["Message-ID"] == f"<{event.logicalid}@warren.test>"


@given(st.text(), st.text())
def test_title_and_text_cannot_add_a_header(title: str, text: str) -> None:
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
