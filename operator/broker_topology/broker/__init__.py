"""The broker: its management API, the observed state, records of owners, and the execution of steps."""
