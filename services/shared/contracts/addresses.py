"""Deliverable addresses: one rule for the addresses that customers give and those that channels send to."""

import re

MAIL_ADDRESS = (
    "such as ada@example.org: letters, digits and !#$%&'*+/=?^_`{|}~.- before the @, then a domain with a dot"
)
PHONE_NUMBER = "with its country code, such as +94 11 234 5678: 7 to 15 digits, which spaces, ()./- may separate"
"""Both describe the accepted addresses, for error messages."""

_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_SEPARATORS = re.compile(r"\(0\)|[ ()./-]")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def mail_address(text: str) -> str:
    """Returns the address with its domain in ASCII. Raises ValueError with the reason, without the address.

    The part before the @ must be ASCII, since many mail servers accept no other (RFC 6531).
    """
    local, at, domain = text.rpartition("@")
    if not at:
        raise ValueError("the mail address has no @")
    if len(local) > 64 or not _LOCAL_PART.fullmatch(local):
        raise ValueError("the mail address has a part before the @ that cannot be used")
    labels = _ascii(domain).split(".")
    if len(labels) < 2 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("the mail address has a domain that cannot exist")
    address = f"{local}@{'.'.join(labels)}"
    if len(address) > 254:
        raise ValueError("the mail address has more than 254 characters")
    return address


def phone_number(text: str) -> str:
    """Returns the number as E.164: `+` and 7 to 15 digits. Raises ValueError with the reason, without the number.

    Drops a zero in parentheses, as in +44 (0)20 7946 0000: it is dialled within the country only.
    """
    number = _SEPARATORS.sub("", text)
    if not number.startswith("+"):
        raise ValueError("the telephone number has no + and country code in front")
    if not _E164.fullmatch(number):
        raise ValueError("the telephone number does not consist of a country code and 7 to 15 digits altogether")
    return number


def _ascii(domain: str) -> str:
    """By IDNA 2008, which keeps ß; empty for a domain that it cannot encode."""
    if domain.isascii() and "xn--" not in domain.lower():
        return domain
    import idna  # noqa: PLC0415 - large tables, and such domains are rare

    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return ""
