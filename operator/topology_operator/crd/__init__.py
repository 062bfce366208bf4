"""The custom resource definition, generated from the engine's model.

The API server refuses whatever a structural schema and CEL rules can detect, so a typo ends at `kubectl apply`. Checks
that need other resources or the broker are left to the engine.
"""

from topology_operator.crd import reference_table
from topology_operator.crd.definition import definition, rendered, spec_schema

__all__ = ["definition", "reference_table", "rendered", "spec_schema"]
