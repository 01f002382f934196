"""Real processes, real servers, real kills. Each scenario ends with the same audit over SQL."""
