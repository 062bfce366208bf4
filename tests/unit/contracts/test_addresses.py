"""The order API accepts only addresses to which the services email and sms can deliver."""

from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.email import channel as email
from services.order.errors import InvalidAddress
from services.order.prices import PriceList
from services.order.requests import ContactDetails, PlaceOrder, to_placement
from services.shared.contracts.addresses import mail_address, phone_number
from services.shared.contracts.orders import Contact
from services.sms import channel as sms
from tests.services import notification

ORDER_ID = UUID(int=1)
CHARACTERS = st.sampled_from('aZ0.-_+@<>()[]"\\,;: \t\n\0äßöü。\u200b\u202e\u0661')


def contact_of_order(contact: ContactDetails) -> Contact:
    """Return the contact of the order that a request with `contact` places."""
    return to_placement(
        PlaceOrder(items=["mug"], contact=contact),
        order_id=ORDER_ID,
        customer="ada",
        key=None,
        prices=PriceList(currency="EUR", articles={"mug": 1}),
    ).contact


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.test",
        "ada@",
        "ada@@example.test",
        "ada@example",
        "ada@localhost",
        "ada@127.0.0.1",
        "ada@[127.0.0.1]",
        "ada@example..test",
        "ada@example.test.",
        "ada@-example.test",
        "ada@ex_ample.test",
        "ada@xn--a.test",
        "ada@example.test\nBcc: eve@example.test",
        "ada@example.test, eve@example.test",
        "Ada <ada@example.test>",
        "<ada@example.test>",
        "a da@example.test",
        '"a da"@example.test',
        "a..b@example.test",
        ".ada@example.test",
        "ä@example.test",
        "ä@bücher.example",
        "ada@☃.test",
        "x" * 65 + "@example.test",
        "ada@" + "x" * 64 + ".test",
        "ada@" + "x." * 125 + "test",
    ],
)
def test_an_invalid_mail_address_is_refused_and_the_error_does_not_contain_it(address: str) -> None:
    with pytest.raises(ValueError, match="the mail address has") as caught:
        mail_address(address)
    assert not address or address not in str(caught.value)
    with pytest.raises(
        InvalidAddress, match=r"contact\.email: the mail address has .* Accepted is one such as ada@example"
    ):
        contact_of_order(ContactDetails(email=address))


@pytest.mark.parametrize(
    "number", ["", "123", "+1 (0) -.-", "0112345678", "+0112345678", "+" + "1" * 16, "+49 151 x", "tel:+4915112345"]
)
def test_an_invalid_telephone_number_is_refused(number: str) -> None:
    with pytest.raises(
        InvalidAddress, match=r"contact\.phone: the telephone number .* Accepted is one with its country"
    ):
        contact_of_order(ContactDetails(phone=number))


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("ada@example.org", "ada@example.org"),
        ("o'neil+shop=2@Example.ORG", "o'neil+shop=2@Example.ORG"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("ada@straße.example", "ada@xn--strae-oqa.example"),
        ("ada@例え.テスト", "ada@xn--r8jz45g.xn--zckzah"),
    ],
)
def test_a_domain_in_any_script_is_stored_in_ascii(given: str, stored: str) -> None:
    assert contact_of_order(ContactDetails(email=given)).email == stored


def test_a_telephone_number_is_stored_as_e164() -> None:
    assert contact_of_order(ContactDetails(phone="+44 (0)20 7946-0000")).phone == "+442079460000"


@given(
    st.text(CHARACTERS, max_size=12).map("ada@{}.test".format)
    | st.text(CHARACTERS, max_size=8).map("{}@a.test".format)
    | st.text()
)
@example("a@b.c")
def test_an_accepted_mail_address_is_deliverable(text: str) -> None:
    with suppress(InvalidAddress):
        accepted = contact_of_order(ContactDetails(email=text)).email
        assert accepted is not None
        assert accepted.isascii()
        assert accepted.isprintable()
        assert mail_address(accepted) == accepted
        message = email.compose(notification(email=accepted), "shop@warren.test")
        assert [address.addr_spec for address in message["To"].addresses] == [accepted]


@given(st.text(st.sampled_from("+0123456789 ()./-x\u0664"), max_size=20).map("+{}".format) | st.text())
def test_an_accepted_telephone_number_is_deliverable(text: str) -> None:
    with suppress(InvalidAddress):
        accepted = contact_of_order(ContactDetails(phone=text)).phone
        assert accepted is not None
        assert phone_number(accepted) == accepted
        assert sms.compose(notification(phone=accepted)).to == accepted
