"""Logs say where it happened, never what the customer wrote."""

import json
import logging

import pytest

from worker import logs


@pytest.mark.parametrize("library", [True, False])
def test_a_traceback_shows_no_variables(
    capsys: pytest.CaptureFixture[str], *, library: bool
) -> None:
    before = logging.getLogger().handlers[:]
    logs.configure("INFO")
    log = logging.getLogger("a.library") if library else logs.get("ours")

    def fail(body: str) -> None:
        raise IndexError(len(body))

    try:
        fail("I am Kunigunde, my password is tulip")
    except IndexError:
        log.exception("failed")
    finally:
        logging.getLogger().handlers[:] = before

    said = capsys.readouterr().err
    [trace] = json.loads(said.splitlines()[-1])["exception"]
    assert (trace["exc_type"], trace["frames"][-1]["name"]) == ("IndexError", "fail")
    assert "Kunigunde" not in said
