"""The plain implementation of mark P1: the same shop, written the ordinary way.

What is the same as ours: broker, queues, bindings and users (the very topology files), TLS, event types and bodies,
nine processes with the same tasks, the order of steps, HTTP with Litestar on uvicorn, uvloop, msgspec, two broker
connections for a process that publishes, durable everything, each acknowledgement after its commit.

What is ordinary: one message, one transaction (inbox, state, outbox), up to 20 messages at a time (prefetch 20) on a
pool of 10 connections; one request, one transaction; a relay in each process that publishes, which reads batches of
100 from its outbox, publishes one after another, each confirmed before the next, and marks the batch as sent; when it
finds nothing it looks again after 100 ms.

Where in doubt it is given the advantage: no sequence numbers, no failure table, no retries to count, no idempotency
keys, no authentication, no deadlines, no expiry; the payment gateway is two inserts in the same transaction; each
process has an outbox of its own, so no two relays meet; prices are read once. It does not import the library.
"""
