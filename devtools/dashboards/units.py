"""Values with Grafana's units, and round steps for axes."""

import math

SECONDS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
BYTES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
COUNTS = ((1e9, " B"), (1e6, " M"), (1e3, " K"), (1.0, ""))
RATES = {"ops": " /s", "mps": " msg/s", "reqps": " req/s"}
ROUND_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def with_unit(value: float, unit: str, decimals: int | None = None) -> str:
    """Return a value as Grafana shows it."""
    if unit == "percentunit":
        return _number(100 * value, decimals) + " %"
    if unit == "s":
        return _scaled(value, SECONDS, decimals, " ")
    if unit == "bytes":
        return _scaled(value, BYTES, decimals, " ")
    if unit == "Bps":
        return _scaled(value, BYTES, decimals, " ") + "/s"
    if unit.startswith("suffix:"):
        return _scaled(value, COUNTS, decimals) + unit.removeprefix("suffix:")
    return _scaled(value, COUNTS, decimals) + RATES.get(unit, "")


def ticks(top: float, unit: str, count: int = 4) -> list[float]:
    """Return about `count` round values from 0 to at least `top`."""
    scale = next((size for size, _ in _scales(unit) if top >= size), 1.0)
    rough = max(top, 1e-9) / scale / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each for each in ROUND_STEPS if each * power >= rough * (1 - 1e-9)) * power * scale
    return [number * step for number in range(math.ceil(top / step - 1e-9) + 1)]


def _scales(unit: str) -> tuple[tuple[float, str], ...]:
    return {"s": SECONDS, "bytes": BYTES, "Bps": BYTES}.get(unit, COUNTS)


def _scaled(value: float, scales: tuple[tuple[float, str], ...], decimals: int | None, space: str = "") -> str:
    if value == 0:
        return "0" + (f"{space}{next(name for size, name in scales if size == 1.0)}" if space else "")
    size, name = next((pair for pair in scales if abs(value) >= pair[0] * 0.9995), scales[-1])
    return _number(value / size, decimals) + (space + name if name and space else name)


def _number(value: float, decimals: int | None) -> str:
    if decimals is None:
        decimals = next((count for limit, count in ((100, 0), (10, 1), (1, 2)) if abs(value) >= limit), 3)
        text = f"{value:.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.{decimals}f}"
