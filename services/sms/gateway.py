"""The text message gateway, over HTTP.

POST <url>   Idempotency-Key: <uuid>   {"to": "+49…", "text": "…"}   -> 2xx when taken
"""

import ssl

import httpx

from services.sms.domain import TextMessage
from services.sms.settings import Settings
from warren_messaging.errors import ConfigurationError, PermanentError, TransientError

WORTH_RETRYING = frozenset({408, 429})
"""Answers below 500 that blame the moment, not the request."""


class Gateway:
    """Sends text messages, any number at a time; connections are kept. `close` when done."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(
            verify=_tls(settings),
            timeout=settings.sms_seconds,
            limits=httpx.Limits(max_connections=settings.sms_connections),
            trust_env=False,  # the gateway is named in the settings, and no proxy of a shell is asked
        )

    async def send(self, message: TextMessage) -> None:
        """Returns when the gateway has taken the message. Raises PermanentError when it refuses it, TransientError
        when it is away, slow, overloaded or broken."""
        headers = {"Idempotency-Key": str(message.key)}
        if self._settings.sms_token_file is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        try:
            answer = await self._client.post(
                self._settings.sms_url, json={"to": message.to, "text": message.text}, headers=headers
            )
        except httpx.TimeoutException as error:
            raise TransientError(f"the SMS gateway took over {self._settings.sms_seconds} s") from error
        except httpx.HTTPError as error:
            raise TransientError(f"the SMS gateway is away: {error!r}") from error
        if answer.is_success:
            return
        if answer.is_client_error and answer.status_code not in WORTH_RETRYING:
            raise PermanentError(f"the SMS gateway refused: {answer.status_code}")
        raise TransientError(f"the SMS gateway answered {answer.status_code}")

    async def close(self) -> None:
        await self._client.aclose()

    def _token(self) -> str:
        path = self._settings.sms_token_file
        try:
            return path.read_text().strip() if path else ""
        except OSError as error:
            raise ConfigurationError(f"cannot read the SMS gateway's token from {path}: {error.strerror}") from error


def _tls(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.sms_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot read the SMS gateway's CA from {settings.sms_ca_file}: {error}") from error
