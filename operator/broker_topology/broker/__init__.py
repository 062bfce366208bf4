"""Access to the broker: management API client, observed state, owner records, execution of plan steps."""
