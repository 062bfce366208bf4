"""Many faults at once: customers order for minutes while everything that can fail does, and then all must be right.

`plan` decides what fails when, from a seed alone. `site` is the system with several replicas and somebody who starts
again what has died; `injections` has one function for each kind of fault; `customers` order and keep their own notes;
`run` puts them together, and judges.
"""
