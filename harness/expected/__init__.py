"""What is expected of a build: baselines, a run compared with them or with another, and what its failures come from."""
