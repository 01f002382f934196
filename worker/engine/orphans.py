"""Ends vLLM's engine process together with the worker that started it.

A worker that is killed cannot stop its engine, and vLLM's engine process then waits for requests
for ever, with the model in the card's memory, where the next worker needs it. vLLM calls
`end_with_parent` in each of its processes (the entry point `vllm.general_plugins`).
"""

import ctypes
import multiprocessing
import os
import signal

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal this process gets when the thread that started it ends."""


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent dies; nothing in a parent itself."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent.pid:  # it died before the kernel knew
        os.kill(os.getpid(), signal.SIGKILL)
