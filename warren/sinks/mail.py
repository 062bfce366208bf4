"""A mail server for demos and tests, which stores mails instead of delivering them. It speaks SMTP with STARTTLS."""

import asyncio
import contextlib
import email
import email.policy
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

from warren.sinks.sink import LOOPBACK, TEMPORARY_REFUSALS, Sink


class ReceivedMail(msgspec.Struct, frozen=True, rename="camel"):
    """A received mail. `headers` are decoded; a repeated header has its first value."""

    recipient: str
    sender: str
    subject: str
    text: str
    headers: dict[str, str]
    received_at: datetime


class MailSink(Sink[ReceivedMail]):
    """An SMTP server on a thread of its own. With `tls` it accepts mail only after STARTTLS. Thread-safe."""

    refused: ClassVar = {"bounce-": (550, None), "tempfail-": (451, TEMPORARY_REFUSALS)}

    def __init__(
        self,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        folder: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(host, port, None if folder is None else folder / "mails.jsonl", tls)
        self.sessions = 0
        """The number of accepted connections."""
        self._open: set[_Conversation] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mail sink", daemon=True)

    def hang_up(self) -> None:
        """Close all connections, like a restarted server."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(10)

    def start(self) -> None:
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

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # The following methods run on the thread.

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
        while self._open:  # noqa: ASYNC110 - the transports close one by one, in this round of the loop
            await asyncio.sleep(0.005)

    async def handle_RCPT(  # noqa: N802 - the server library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        code = self._refusal(address)
        if code is not None:
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
            self._store(mail)
        return "250 taken"


class _Conversation(SMTP):
    """One connection; the sink knows it while it is open."""

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
