"""The email channel: turns a notification into a mail. Its text and address may contain anything."""

from email.message import EmailMessage
from email.policy import SMTP

from services.shared.channels.worker import Channel, Notification
from services.shared.contracts.addresses import mail_address

MAX_TITLE = 200  # characters
MAX_TEXT = 20_000  # characters


def channel(sender: str) -> Channel[EmailMessage]:
    """`sender` is a plain address or `Name <address>`."""
    return Channel(
        service="email",
        address_of=lambda contact: contact.email,
        normalize=lambda address: address.strip().lower(),
        hash_column="address_hash",
        compose=lambda event: compose(event, sender),
    )


def compose(event: Notification, sender: str) -> EmailMessage:
    """Returns the same mail for a repeated notification. Title, text and address cannot add a header.

    Raises ValueError for a mail address that cannot be used.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = mail_address(event.data.contact.email or "")
    message["Subject"] = " ".join(_printable(event.data.title).split())[:MAX_TITLE]
    message["Date"] = event.time
    message["Message-ID"] = f"<{event.logicalid}@{domain_of(sender)}>"
    # RFC 3834: suppresses out-of-office replies.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_printable(event.data.text, keep="\n\t")[:MAX_TEXT] + "\n")
    return message


def domain_of(sender: str) -> str:
    """The domain in `Name <local@domain>`."""
    return sender.rpartition("@")[2].rstrip("> ")


def _printable(text: str, keep: str = "") -> str:
    return "".join(char if char.isprintable() or char in keep else " " for char in text)
