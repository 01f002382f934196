"""What is wrong with something that crossed a wire, in one line that names the field."""

from pydantic import ValidationError


def first_mistake(error: ValidationError, *, whole: str) -> str:
    """The first thing pydantic found, as `field.subfield: what`; `whole` names the thing itself."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or whole
    return f"{field}: {first['msg']}"
