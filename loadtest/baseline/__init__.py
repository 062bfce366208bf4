"""The baseline of target P2: the CPU that the bare drivers need for the messages and rows of the same orders.

`counts` counts messages and rows of a finished run, `worker` is a process that handles one kind of them.
"""
