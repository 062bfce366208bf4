"""Telling the broker what became of each delivery, in as few frames as that takes."""

import aiormq.abc

from services.shared.messaging.processor import Delivery, Verdict


class Settlement:
    """The deliveries of one channel that the broker still waits to hear about."""

    def __init__(self, channel: aiormq.abc.AbstractChannel) -> None:
        self._channel = channel
        self._open: dict[int, None] = {}  # in the order of delivery, which is the order of tags
        self._noted: dict[int, Verdict] = {}

    def expect(self, tag: int) -> None:
        """A delivery has arrived."""
        self._open[tag] = None

    def note(self, delivery: Delivery, verdict: Verdict) -> None:
        """Remember a verdict until the next flush. A second one for the same delivery is a bug."""
        if delivery.tag not in self._open or delivery.tag in self._noted:
            raise AssertionError(f"delivery {delivery.tag} is settled twice")
        self._noted[delivery.tag] = verdict

    def release_rest(self) -> None:
        """Return every delivery that has no verdict."""
        for tag in self._open:
            self._noted.setdefault(tag, Verdict.RELEASE)

    async def flush(self) -> None:
        """Send what is noted. Tags that are done from the oldest open one on share one acknowledgement."""
        noted, self._noted = self._noted, {}
        up_to = None
        for tag in self._open:
            if tag not in noted:
                break
            if noted[tag] is Verdict.DONE:
                up_to = tag
        # An acknowledgement of "all up to here" must not cover a rejected one: those go first.
        for tag, verdict in noted.items():
            del self._open[tag]
            match verdict:
                case Verdict.DONE:
                    if up_to is None or tag > up_to:
                        await self._channel.basic_ack(tag, wait=False)
                case Verdict.RETRY:
                    # reject, not nack: only reject waits in the queue's delayed retry and is counted there.
                    await self._channel.basic_reject(tag, requeue=True, wait=False)
                case Verdict.PARK:
                    await self._channel.basic_reject(tag, requeue=False, wait=False)
                case Verdict.RELEASE:
                    # nack, not reject: it returns at once and is not held against the message.
                    await self._channel.basic_nack(tag, requeue=True, wait=False)
        if up_to is not None:
            await self._channel.basic_ack(up_to, multiple=True, wait=False)
