"""Options that several commands have."""

from typing import Annotated

from cyclopts import Parameter, validators

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON document a line, for programs.")]

Limit = Annotated[int, Parameter(help="At most so many; 0 shows all.", validator=validators.Number(gte=0))]
Most = Annotated[
    int | None, Parameter(help="At most so many messages, oldest first.", validator=validators.Number(gte=1))
]
