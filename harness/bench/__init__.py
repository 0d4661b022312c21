"""What the suite costs, measured by ci/bench.

Every figure is a median with minimum and maximum beside it, over runs that take turns between the builds, so that a
machine whose speed drifts treats them alike. Nothing here passes or fails.
"""

Figures = dict[tuple[str, str], list[float]]
"""Values by title and build."""
