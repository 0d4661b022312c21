"""ci/bisect: finds the commit that broke, or repaired, a test."""
