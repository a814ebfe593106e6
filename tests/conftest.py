"""Settings that every test runs under; fixtures live beside the tests that use them."""

import os

from hypothesis import HealthCheck, settings

# Before any test imports torch or transformers: one thread per worker, and no model hub.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Rich and typer wrap to the terminal's width; a fixed one keeps expected texts the same everywhere.
os.environ["COLUMNS"] = "120"
os.environ["NO_COLOR"] = "1"
os.environ.pop("FORCE_COLOR", None)

# Time limits on single examples fail at random on a shared machine; CI must also draw the same examples at every run.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
