"""The plain implementation for target P1: the same shop, built the usual way.

Equal to Warren: broker, queues, bindings and users (the same topology files), TLS, event types and bodies, nine
processes with the same tasks, the order of steps, HTTP with Litestar on uvicorn, uvloop, msgspec, two broker
connections for a process that publishes, durable queues and messages, acknowledgements after the commit.

Usual: one transaction for each message (inbox, state, outbox), up to 20 messages at a time (prefetch 20) on a pool of
10 connections; one transaction for each request; a relay in each process that publishes. It reads batches of 100 from
its outbox, publishes one event after another, each confirmed before the next, and marks the batch as sent. After an
empty batch it waits for 100 ms.

In every other respect it does less than Warren: no sequence numbers, no failure table, no counted retries, no
idempotency keys, no authentication, no deadlines, no retention; the payment gateway is two inserts in the same
transaction; each process has its own outbox, so that no two relays meet; prices are read once. It does not import the
library.
"""
