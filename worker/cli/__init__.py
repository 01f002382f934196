"""The command line: one file per group of commands. Here, and only here, parts are put together."""
