"""Grammars are parsed once: vLLM would parse the same one for every request, to check it.

Every ticket of a taxonomy has the same grammar, of some seven hundred rules: four milliseconds of
the worker's processor each time. vLLM calls `parse_once` in each of its processes (the entry point
`vllm.general_plugins`).
"""

from functools import lru_cache

GRAMMARS = 16
"""More than the taxonomies, and their versions in a replay, that a worker has at once."""


def parse_once() -> None:
    """Have xgrammar remember the grammars it has parsed; one that is wrong it refuses each time."""
    from xgrammar import Grammar  # noqa: PLC0415  # imports torch: seconds

    if not hasattr(Grammar.from_ebnf, "cache_info"):
        parse = staticmethod(lru_cache(GRAMMARS)(Grammar.from_ebnf))
        Grammar.from_ebnf = parse  # type: ignore[method-assign]
