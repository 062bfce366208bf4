"""Imports the SDK as the dashboards do: docs/decisions/0043."""

import devtools.dashboards  # noqa: F401
