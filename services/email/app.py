"""Assembles the email service."""

from services.email.channel import channel
from services.email.settings import EmailSettings
from services.email.smtp_client import SmtpClient
from services.shared.chassis.process import ServiceProcess


def build(settings: EmailSettings) -> ServiceProcess:
    client = SmtpClient(settings)
    process = channel(settings.smtp_sender).process(
        settings, client.send, connections=settings.smtp_connections, days=settings.deliveries_days
    )
    process.on_shutdown(client.close)
    return process
