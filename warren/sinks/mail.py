"""A mail server that delivers nothing: it keeps what it is given, for demos and tests to look at.

It speaks real SMTP, with STARTTLS when it has a certificate, and can refuse as real servers do.
"""

import asyncio
import contextlib
import email
import email.policy
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

__all__ = ["MailSink", "ReceivedMail"]

LOOPBACK = "127.0.0.1"
TEMPORARY_REFUSALS = 2
BOUNCE, TEMPFAIL = "bounce-", "tempfail-"


class ReceivedMail(msgspec.Struct, frozen=True, rename="camel"):
    """One mail as the server took it. `headers` are decoded; a repeated one is there with its first value."""

    recipient: str
    sender: str
    subject: str
    text: str
    headers: dict[str, str]
    received_at: datetime


class MailSink:
    """An SMTP server in a thread of its own; entering starts it, leaving stops it.

    A recipient whose address begins with `bounce-` is refused for good (550), one that begins with `tempfail-` the
    first two times (451); `refuse` adds others. Mails are kept in `mails`, and in `folder`/mails.jsonl if given.
    With `tls` nothing is taken before STARTTLS. Methods may be called from any thread.
    """

    def __init__(
        self,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        folder: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.host = host
        self.port = port
        """0 until started takes any free port; the number it has from then on."""
        self.mails: list[ReceivedMail] = []
        self.sessions = 0
        """Connections accepted so far."""
        self._file = None if folder is None else folder / "mails.jsonl"
        self._tls = tls
        self._refusals: dict[str, tuple[int, int | None]] = {}
        self._open: set[_Conversation] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mail sink", daemon=True)

    def refuse(self, recipient: str, code: int, *, times: int | None = None) -> None:
        """Answer `code` to this recipient, so many times or, with None, always."""
        self._refusals[recipient] = (code, times)

    def hang_up(self) -> None:
        """Close all connections, as a server does that was restarted."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(10)

    def start(self) -> None:
        """Returns when clients can connect. Raises OSError when the port is taken."""
        self._thread.start()
        try:
            self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        except OSError:
            self._end_thread()
            raise
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._end_thread()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # What follows runs in the thread.

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(self._conversation, self.host, self.port)

    def _conversation(self) -> "_Conversation":
        self.sessions += 1
        return _Conversation(
            self,
            hostname="mail.warren.localhost",
            loop=self._loop,
            tls_context=self._tls,
            require_starttls=self._tls is not None,
            enable_SMTPUTF8=True,
        )

    async def _close(self) -> None:
        self._server.close()
        await self._hang_up()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _hang_up(self) -> None:
        for conversation in list(self._open):
            if isinstance(conversation.transport, asyncio.WriteTransport):
                conversation.transport.abort()
        while self._open:  # noqa: ASYNC110 - the transports report one by one, within this round of the loop
            await asyncio.sleep(0.005)

    async def handle_RCPT(  # noqa: N802 - the server library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith(BOUNCE):
            self._refusals.setdefault(address, (550, None))
        elif address.startswith(TEMPFAIL):
            self._refusals.setdefault(address, (451, TEMPORARY_REFUSALS))
        code, times = self._refusals.get(address, (250, None))
        if code != 250 and times != 0:
            self._refusals[address] = (code, None if times is None else times - 1)
            return f"{code} no mailbox for {address}" if code >= 500 else f"{code} try again later"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        message = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.default)
        body = message.get_body(("plain",))
        headers: dict[str, str] = {}
        for name, value in message.items():
            headers.setdefault(name, str(value))
        for recipient in envelope.rcpt_tos:
            mail = ReceivedMail(
                recipient=recipient,
                sender=envelope.mail_from or "",
                subject=headers.get("Subject", ""),
                text="" if body is None else body.get_content().replace("\r\n", "\n"),
                headers=headers,
                received_at=datetime.now(UTC),
            )
            self.mails.append(mail)
            if self._file is not None:
                with self._file.open("ab") as file:
                    file.write(msgspec.json.encode(mail) + b"\n")
        return "250 taken"


class _Conversation(SMTP):
    """One connection, known to the sink while it is open."""

    def __init__(self, sink: MailSink, **options: Any) -> None:
        super().__init__(sink, **options)
        self._sink = sink

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sink._open.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        with contextlib.suppress(Exception):
            super().connection_lost(error)
        self._sink._open.discard(self)
