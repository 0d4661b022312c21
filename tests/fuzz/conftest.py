"""How long the fuzzers look: seconds by default, a minute each with --hypothesis-profile=night."""

from hypothesis import HealthCheck, settings

_CALM = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]

settings.register_profile("default", max_examples=60, deadline=None, suppress_health_check=_CALM)
settings.register_profile("night", max_examples=2_000, deadline=None, suppress_health_check=_CALM)
