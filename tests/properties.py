"""How hypothesis works here; imported by the conftest.py of the suites that use it.

Not in tests/conftest.py: the kernel tests run in an emulated guest, where the import takes seconds.
"""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(Path(__file__).resolve().parents[1] / "build/hypothesis")
# The same examples every time in CI, so that a commit is judged by what it changed.
settings.register_profile(
    "default",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("default")
