from pathlib import Path

import pytest

from services.shipping.domain import Pace
from services.shipping.settings import Settings


@pytest.mark.parametrize(
    ("carrier_seconds", "pace"), [(-1, Pace(1.5, None)), (-0.5, Pace(1.5, None)), (0, Pace(1.5, 0)), (2, Pace(1.5, 2))]
)
def test_below_zero_there_is_no_carrier(carrier_seconds: float, pace: Pace) -> None:
    settings = Settings(
        database_url="",
        database_password_file=Path(),
        database_ca_file=Path(),
        broker_url="",
        broker_credentials=Path(),
        broker_ca_file=Path(),
        preparation_seconds=1.5,
        carrier_seconds=carrier_seconds,
    )
    assert settings.pace == pace
