"""Runs chosen tickets again, compares what came of it with what they had, and promotes it."""
