"""A panel's query as Grafana sends it to Postgres: its macros and the chosen sources filled in."""

from collections.abc import Sequence
from datetime import datetime

FILTER = "$__timeFilter("


def expanded(query: str, *, start: datetime, end: datetime, sources: Sequence[str]) -> str:
    """Fill in what the panels use.

    Raises:
        ValueError: the query has a macro that is not known here.
    """
    listed = ",".join(f"'{source}'" for source in sources)
    query = query.replace("${source:sqlstring}", listed)
    while FILTER in query:
        before, _, rest = query.partition(FILTER)
        column, _, after = rest.partition(")")
        span = f"'{start:%Y-%m-%dT%H:%M:%SZ}' and '{end:%Y-%m-%dT%H:%M:%SZ}'"
        query = f"{before}{column} between {span}{after}"
    if "$" in query:
        raise ValueError(f"a macro that is not known: {query}")
    return query
