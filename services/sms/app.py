"""Assembles the sms service."""

from services.shared.chassis.process import ServiceProcess
from services.sms.channel import CHANNEL
from services.sms.settings import SmsSettings
from services.sms.sms_client import SmsClient


def build(settings: SmsSettings) -> ServiceProcess:
    client = SmsClient(settings)
    process = CHANNEL.process(
        settings, client.send, connections=settings.sms_connections, days=settings.deliveries_days
    )
    process.on_shutdown(client.close)
    return process
