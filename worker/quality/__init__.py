"""Measures a model on labelled tickets, fits thresholds, and compares one build with another."""
