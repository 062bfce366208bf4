"""Mark P4: one consumer with everything the library guarantees, against the bare driver.

`probe` is the smallest service that does all of it, `raw` the loop without any of it, `rounds` runs both in turn.
"""
