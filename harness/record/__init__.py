"""What is written down: verdicts, what was seen and when, and the folder that keeps it."""
