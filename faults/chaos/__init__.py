"""The chaos run: customers order for minutes while faults of every kind overlap; then every invariant must hold.

`plan` derives all faults from a seed, `environment` is the system with two replicas of most processes, `injections`
has one function for each kind of fault, `scheduler` runs them, `workload` and `customers` place orders, `ledger`
records the responses that customers get, and `run` puts all of it together and checks the result.
"""
