"""How long the fuzzers look: seconds by default, a minute or so each with --hypothesis-profile=night."""

from hypothesis import HealthCheck, settings

_CALM = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]

settings.register_profile("default", max_examples=60, deadline=None, suppress_health_check=_CALM)
settings.register_profile("night", max_examples=20_000, deadline=None, suppress_health_check=_CALM)
