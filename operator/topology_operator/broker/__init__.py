"""From `spec.broker` to an open management API."""
