"""`warren demo`: real orders through the real system, and the proof that all went well."""

from typing import Annotated

from cyclopts import Parameter


def demo(
    *, logs: Annotated[bool, Parameter(negative="", help="Show the services' logs while the orders run.")] = False
) -> int:
    """Place orders that succeed, fail and are cancelled, watch them, and check what must hold.

    Starts everything on private servers, from empty, and stops it again. Exit code 0 means that every order ended
    as it should and every invariant held.

    Try: warren demo --logs
    """
    from devtools.local import demo

    return demo.run(logs=logs)
