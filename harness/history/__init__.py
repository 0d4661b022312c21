"""ci/history: the suite measured against the bugs that people reported, before and after each fix."""
