"""docs/messaging/reference.md is up to date, and every public name has a docstring."""

from itertools import chain

import warren_messaging
from devtools.reference_page import PAGE, page, public_names
from warren_messaging import testing

NAMES = list(chain.from_iterable(public_names().values()))


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make reference`"


def test_the_page_has_every_public_name_once() -> None:
    assert sorted(each.name for each in NAMES) == sorted([*warren_messaging.__all__, *testing.__all__])


def test_every_public_name_has_a_docstring() -> None:
    assert [each.name for each in NAMES if not each.docstring] == []
