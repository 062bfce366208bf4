"""From a notification to a mail that is safe to send, whatever its words and address hold."""

from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from uuid import UUID

import msgspec

from services.shared.contracts.addresses import mail_address

LONGEST_TITLE = 200  # characters
LONGEST_TEXT = 20_000  # characters


class Mail(msgspec.Struct, frozen=True):
    """What is to be said to whom. `id` and `time` are the notification's, so a repetition is the same mail."""

    id: UUID
    time: datetime
    address: str
    title: str
    text: str

    def compose(self, sender: str) -> EmailMessage:
        """The message from `sender`, a plain address or `Name <address>`.

        Raises ValueError when the address is none. Nothing in title, text or address can add a header.
        """
        message = EmailMessage(policy=SMTP)
        message["From"] = sender
        message["To"] = mail_address(self.address)
        message["Subject"] = one_line(self.title)
        message["Date"] = self.time
        message["Message-ID"] = f"<{self.id}@{domain_of(sender)}>"
        # RFC 3834: no out-of-office answers, please.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(_printable(self.text, keep="\n\t")[:LONGEST_TEXT] + "\n")
        return message


def domain_of(sender: str) -> str:
    """The domain in `Name <local@domain>`."""
    return sender.rpartition("@")[2].rstrip("> ")


def one_line(text: str) -> str:
    return " ".join(_printable(text).split())[:LONGEST_TITLE]


def _printable(text: str, keep: str = "") -> str:
    return "".join(each if each.isprintable() or each in keep else " " for each in text)
