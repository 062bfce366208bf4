"""Whether this process can do its work at the moment, part by part."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from warren_messaging.errors import MessagingError

Check = Callable[[], Awaitable[None]]
"""Returns when all is well, raises MessagingError with the reason when not."""

CHECK_SECONDS = 2.0  # a part that takes longer to answer is not ready


class Readiness:
    """The parts that must work for the process to be given work. Checked anew at each question."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self.stopping = False
        """Set for good when the process is asked to end: it takes no new work."""

    def require(self, part: str, check: Check) -> None:
        self._checks[part] = check

    async def missing(self) -> Mapping[str, str]:
        """Every part by name, with why it is not ready; "" when it is. All are asked at the same time."""
        reasons = await asyncio.gather(*(_reason(check) for check in self._checks.values()))
        parts = dict(zip(self._checks, reasons, strict=True))
        return parts | {"process": "stopping"} if self.stopping else parts


async def _reason(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:.0f} s"
    except MessagingError as error:
        return str(error)
    return ""
