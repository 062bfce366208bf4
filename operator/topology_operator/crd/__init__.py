"""The custom resource definition, generated from the engine's model.

The API server refuses what the engine would refuse, as far as a structural schema and CEL can say it: a typo ends at
`kubectl apply` instead of in a status. What needs the other resources or the broker stays with the engine.
"""

from topology_operator.crd import reference_table
from topology_operator.crd.definition import definition, rendered

__all__ = ["definition", "reference_table", "rendered"]
