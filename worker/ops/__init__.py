"""The built-in page for operators: looks at tickets and replays, and takes corrections."""
