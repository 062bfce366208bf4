"""The one place that text from a message passes on its way into a text column."""


def storable(text: str) -> str:
    """`text` as PostgreSQL accepts it: NUL and lone surrogates become U+FFFD."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")
