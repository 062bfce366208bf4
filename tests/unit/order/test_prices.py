"""An invalid price list stops the service with the reason."""

import json
from pathlib import Path

import pytest

from services.order.prices import PriceList
from services.order.settings import DEFAULT_PRICES_FILE
from warren_messaging.errors import ConfigurationError


def test_the_shipped_prices_have_the_articles_of_the_documents() -> None:
    prices = PriceList.read(DEFAULT_PRICES_FILE)
    assert {f"item{number}" for number in range(1, 10)} <= prices.articles.keys()
    assert {"last-piece", "sold-out"} <= prices.articles.keys()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "truncated"),
        ("[]", "Expected `object`"),
        ('{"currency": "EUR"}', "articles"),
        ('{"currency": "euro", "articles": {"a": 1}}', "currency"),
        ('{"currency": "EUR", "articles": {}}', "no article"),
        ('{"currency": "EUR", "articles": {"a": -1}}', "articles"),
        ('{"currency": "EUR", "articles": {"a": 9.99}}', "articles"),
        ('{"currency": "EUR", "articles": {"a b": 1}}', "articles"),
        ('{"currency": "EUR", "articles": {"a": 1}, "tax": 3}', "tax"),
    ],
)
def test_an_invalid_price_list_is_refused_with_the_reason(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=reason) as error:
        PriceList.read(path)
    assert str(path) in str(error.value)


def test_a_missing_price_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        PriceList.read(tmp_path / "prices.json")


def test_another_price_list_can_be_configured(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"currency": "LKR", "articles": {"tea": 50}}))
    assert PriceList.read(path).articles == {"tea": 50}
