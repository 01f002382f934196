"""What crosses a wire: tickets in, queue messages, replies out, the taxonomy. Pydantic only."""
