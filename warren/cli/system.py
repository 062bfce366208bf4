"""`warren up` and `warren down`."""

from typing import Annotated

from cyclopts import Parameter, validators

PORT = 8080


def up(
    *,
    port: Annotated[
        int, Parameter(help="Port of the order API; 0 takes any.", validator=validators.Number(gte=0, lte=65535))
    ] = PORT,
    fresh: Annotated[bool, Parameter(negative="", help="Start from empty databases and queues.")] = False,
    quiet: Annotated[bool, Parameter(negative="", help="Do not show the services' logs.")] = False,
) -> None:
    """Run everything on this machine until Ctrl-C, or `warren down` from another terminal.

    Data stay for the next time unless --fresh is given. A service or server that ends by itself is started again, at
    most five times in a row.

    Try:

        warren up

        warren up --fresh --port 8090
    """
    from devtools.local.up import run

    run(port, fresh=fresh, quiet=quiet)


def down() -> None:
    """Stop what `warren up` started in this checkout.

    Try: warren down
    """
    from devtools.local.instance import Instance

    print("stopped" if Instance("up").stop() else "nothing is running")
