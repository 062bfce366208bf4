"""What one round took."""

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    messages: int
    seconds: float
    """From before the first connection until the last confirm and acknowledgement."""
    cpu_seconds: float
    """Of the process, user and system."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU for one message."""
        return self.cpu_seconds / self.messages * 1e6
