"""Logits on a CPU as numpy can work with them: it has no bfloat16, and torch is slow with a few."""

from functools import cache
from typing import Any

import numpy as np
import torch

Numbers = np.ndarray[Any, Any]


def as_integers(logits: torch.Tensor) -> Numbers:
    """The same memory: numbers that are positive are ordered as integers of their size are.

    So where one is, the first of the largest is the one that torch's `argmax` documents to find.
    """
    return logits.view({2: torch.int16, 4: torch.int32}[logits.itemsize]).numpy()


def as_floats(numbers: Numbers, dtype: torch.dtype) -> Numbers:
    """What `as_integers` shows of such logits, in 32 bits; torch takes several times as long."""
    if dtype == torch.bfloat16:
        return (numbers.astype(np.int32) << 16).view(np.float32)
    return numbers.view({2: np.float16, 4: np.float32}[dtype.itemsize]).astype(np.float32)


@cache
def lowest(dtype: torch.dtype) -> int:
    """Minus infinity, as `as_integers` shows it."""
    return int(as_integers(torch.tensor([-torch.inf], dtype=dtype))[0])
