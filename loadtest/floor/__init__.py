"""The floor of mark P2: what the same messages and rows need when nothing else is done with them.

`quantities` counts them in a run that is over, `part` is one process that handles one kind, `measure` runs all three.
"""
