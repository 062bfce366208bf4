"""From a notification to a text message that a gateway can take."""

from uuid import UUID

import msgspec

from services.shared.contracts.addresses import phone_number

LONGEST_TEXT = 459  # characters: three linked messages


class TextMessage(msgspec.Struct, frozen=True):
    """What is to be said to which telephone; `key` is the same whenever it is tried again."""

    key: UUID
    to: str
    text: str


class Draft(msgspec.Struct, frozen=True):
    """A notification as it came."""

    key: UUID
    phone: str
    title: str
    text: str

    def compose(self) -> TextMessage:
        """Raises ValueError when `phone` is no telephone number, without repeating it."""
        number = phone_number(self.phone)
        whole = f"{self.title}\n{self.text}"
        if len(whole) > LONGEST_TEXT:
            whole = whole[: LONGEST_TEXT - 1] + "…"
        return TextMessage(self.key, number, whole)
