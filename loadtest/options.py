"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

Count = Annotated[int, Parameter(validator=Number(gte=1))]
Orders = Annotated[Count, Parameter(help="Orders to place.")]
Connections = Annotated[Count, Parameter(help="HTTP connections that place them.")]
Seed = Annotated[int, Parameter(help="Of what is ordered.")]
Json = Annotated[Path | None, Parameter(help="Write the figures here.")]
InstanceName = Annotated[
    str, Parameter(help="Name of the private servers' folder; two runs of one name exclude each other.")
]
