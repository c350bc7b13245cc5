"""How hypothesis works here; imported by the conftest.py of the suites that use it.

Not in tests/conftest.py: the kernel tests run in an emulated guest, where the import takes seconds.
"""

from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(Path(__file__).resolve().parents[1] / "build/hypothesis")
settings.register_profile(
    "default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")
