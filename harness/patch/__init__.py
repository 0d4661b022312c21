"""ci/patch: from two commits of a VMM, or two builds, to a verdict and a summary for the pull request."""
