"""A payment gateway without real money, for development and tests.

It runs inside the payment process. Its ledger is in PostgreSQL under a role of its own, so it survives a crash of the
process, and can be compared with the service's own records. The payment token of an order selects its behaviour, see
`tokens`; README.md of the payment service lists the tokens.
"""
