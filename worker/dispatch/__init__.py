"""Moves tickets through the queue: announce, claim, triage, record, sweep."""
