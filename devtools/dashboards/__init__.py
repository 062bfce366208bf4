"""The Grafana dashboards of Warren as code. `make dashboards` writes `charts/warren/dashboards/*.json`.

A module for each dashboard holds its panels and nothing else; `panels` has one function for each kind of panel, `board`
lays them out and adds variables and links.
"""

import warnings

with warnings.catch_warnings():
    # The SDK's modules of Grafana's classic schema advise against it when they are imported: docs/decisions/0043.
    warnings.simplefilter("ignore", DeprecationWarning)
    import grafana_foundation_sdk.builders.dashboard
    import grafana_foundation_sdk.builders.timeseries  # noqa: F401
