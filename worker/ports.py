"""Ports of this machine."""

import socket

from worker.errors import SetupError


def require_free_port(host: str, port: int) -> None:
    """
    Raises:
        SetupError: something else listens there.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SetupError(
                f"cannot listen on {host}:{port} ({error.strerror}): set TRIAGE_GATEWAY_PORT"
            ) from error


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
