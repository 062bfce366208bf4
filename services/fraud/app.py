"""Assembles the fraud service."""

from functools import partial

from services.fraud.handlers import HANDLERS
from services.fraud.settings import FraudSettings
from services.fraud.store import AssessmentRepository, retention_rules
from services.shared.chassis.process import ServiceProcess


def build(settings: FraudSettings) -> ServiceProcess:
    process = ServiceProcess("fraud", settings)
    process.consume("fraud.queue", HANDLERS, partial(AssessmentRepository, limits=settings.limits))
    process.retain(*retention_rules(settings.assessments_days))
    return process
