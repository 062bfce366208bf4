"""docs/messaging/reference.md is up to date, and every public name and method has a docstring."""

from itertools import chain

import griffe

import warren_messaging
from devtools.reference_page import PAGE, members_of, page, public_names
from warren_messaging import testing

NAMES = list(chain.from_iterable(public_names().values()))
METHODS = [each for kind in NAMES if isinstance(kind, griffe.Class) for each in members_of(kind)]
METHODS = [each for each in METHODS if isinstance(each, griffe.Function)]


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make reference`"


def test_the_page_has_every_public_name_once() -> None:
    assert sorted(each.name for each in NAMES) == sorted([*warren_messaging.__all__, *testing.__all__])


def test_every_public_name_has_a_docstring() -> None:
    assert [each.name for each in NAMES if not each.docstring] == []


def test_every_public_method_has_a_docstring_or_implements_one_that_has() -> None:
    described = {each.name for each in METHODS if each.docstring}
    assert [each.path for each in METHODS if each.name not in described] == []
