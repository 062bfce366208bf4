"""Target P4: one consumer with every guarantee of the library, against the bare driver.

`probe` is the smallest service that uses all of the library, `raw_loop` consumes and publishes without any of it, and
`comparison` runs both in turn.
"""
