"""A further replica that is set up wrongly: it ends with its own exit code and says why, and nobody else notices."""

import os
import random

from devtools.servers.credentials import Certificates
from faults.chaos.environment import Site
from faults.chaos.injections.registry import Hindered, injects, wait_for
from faults.chaos.plan import Planned
from faults.expired import expired_certificate
from faults.harness import BROKER


@injects("wrong password")
def wrong_password(site: Site, fault: Planned, _: random.Random) -> None:
    folder = site.folder / "wrong" / "payment-rabbitmq"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "username").write_text("payment")
    (folder / "password").write_text("wrong")
    _try(site, fault, "refused the user 'payment'", WARREN_BROKER_CREDENTIALS=str(folder))


@injects("expired certificate")
def expired(site: Site, fault: Planned, _: random.Random) -> None:
    authority = Certificates(site.folder / "certificates")
    certificate = expired_certificate(authority, site.folder / "wrong")
    line = site.lines.open_line(site.port_of(BROKER), certificate, authority, "amqp")
    _try(site, fault, "certificate has expired", **site.through("shipping", line, BROKER))


def _try(site: Site, fault: Planned, words: str, **environment: str) -> None:
    site.processes.start(site.usual(fault.target, **environment))
    try:
        wait_for(site, lambda: fault.target in site.processes.ended, f"{fault.target} did not give up")
        code, said = site.processes.ended[fault.target], site.said(fault.target)
        if code != os.EX_CONFIG or words not in said:
            raise Hindered(f"{fault.target} ended with {code}: {said[-300:]}")
    finally:
        site.slay(fault.target)
