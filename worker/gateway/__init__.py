"""The HTTP way in: webhooks become rows. Knows nothing of engines and models."""
