"""Reads what a form on the page sends."""

from urllib.parse import parse_qs

from fastapi import HTTPException, Request

FORM_BYTES = 100_000


async def read_form(request: Request) -> dict[str, str]:
    """The last value of each field, without space around it.

    Raises:
        HTTPException: 413, it is too large; 400, it is no form.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            raise HTTPException(413, f"the form is larger than {FORM_BYTES:,} bytes")
    try:
        given = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError as error:
        raise HTTPException(400, "this is no form") from error
    return {name: values[-1].replace("\r\n", "\n").strip() for name, values in given.items()}
