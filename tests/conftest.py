"""What every test shares: how long Hypothesis may think, and where golden files are rewritten."""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("quick", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", parent=settings.get_profile("quick"), max_examples=5_000)
settings.load_profile(os.environ.get("HEADWAY_HYPOTHESIS", "quick"))


@pytest.fixture(scope="session")
def bless() -> bool:
    """Whether golden files are rewritten instead of compared (`make bless`)."""
    return os.environ.get("HEADWAY_BLESS") == "1"
