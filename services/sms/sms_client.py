"""The client of the text message gateway.

POST <url>   Idempotency-Key: <uuid>   {"to": "+49…", "text": "…"}   -> 2xx when accepted
"""

import ssl

import httpx

from services.shared.channels.worker import ProviderUnavailable
from services.sms.channel import TextMessage
from services.sms.settings import SmsSettings
from warren_messaging.errors import ConfigurationError, PermanentError
from warren_messaging.tracing import enabled

RETRYABLE = frozenset({408, 429})
"""Status codes below 500 after which the same request may succeed."""


class SmsClient:
    """Sends any number of messages concurrently over connections that it keeps."""

    def __init__(self, settings: SmsSettings) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(
            verify=_tls(settings),
            timeout=settings.sms_seconds,
            limits=httpx.Limits(max_connections=settings.sms_connections),
            trust_env=False,  # no proxy from the environment: the settings name the gateway
        )
        if enabled():
            from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor  # noqa: PLC0415 - needs the SDK

            HTTPXClientInstrumentor.instrument_client(self._client)

    async def send(self, message: TextMessage) -> None:
        """Returns when the gateway has accepted the message.

        Raises PermanentError when the gateway rejects it, ProviderUnavailable when it is unreachable, slow or
        overloaded.
        """
        headers = {"Idempotency-Key": str(message.key)}
        if self._settings.sms_token_file is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        try:
            response = await self._client.post(
                self._settings.sms_url, json={"to": message.to, "text": message.text}, headers=headers
            )
        except httpx.TimeoutException as error:
            raise ProviderUnavailable(f"the SMS gateway took over {self._settings.sms_seconds} s") from error
        except httpx.HTTPError as error:
            raise ProviderUnavailable(f"the SMS gateway is unreachable: {error!r}") from error
        if response.is_success:
            return
        if response.is_client_error and response.status_code not in RETRYABLE:
            raise PermanentError(f"the SMS gateway refused: {response.status_code}")
        raise ProviderUnavailable(f"the SMS gateway answered {response.status_code}")

    async def close(self) -> None:
        await self._client.aclose()

    def _token(self) -> str:
        path = self._settings.sms_token_file
        try:
            return path.read_text().strip() if path else ""
        except OSError as error:
            raise ConfigurationError(f"cannot read the SMS gateway's token from {path}: {error.strerror}") from error


def _tls(settings: SmsSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.sms_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot read the SMS gateway's CA from {settings.sms_ca_file}: {error}") from error
