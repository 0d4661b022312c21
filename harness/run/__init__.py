"""What pytest loads: options, the builds that a run crosses, and what becomes of the verdicts."""
