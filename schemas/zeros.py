"""JSON can say `\\u0000`, Postgres cannot keep it, and nobody means it."""


def without_zeros(value: object) -> object:
    """A text without such characters; whatever else, as it is."""
    return value.replace("\0", "") if isinstance(value, str) else value
