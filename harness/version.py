"""The version of the suite: the only place that says it. ci/release changes it."""

VERSION = "0.1.0"
