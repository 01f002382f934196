"""Tickets and everything kept about them."""
