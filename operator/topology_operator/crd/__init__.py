"""The custom resource definition, generated from the engine's model.

The API server refuses resources that violate the structural schema or a CEL rule, so `kubectl apply` reports a typo.
The engine makes the checks that need other resources or the broker.
"""

from topology_operator.crd import reference_table
from topology_operator.crd.definition import definition, rendered, spec_schema

__all__ = ["definition", "reference_table", "rendered", "spec_schema"]
