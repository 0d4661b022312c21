"""The child process of any program, and how it ended."""
