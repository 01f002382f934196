"""Measures the product: `python -m bench` writes RESULTS.md."""
