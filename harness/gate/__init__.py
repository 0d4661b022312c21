"""A run against what is expected, or against another run."""
