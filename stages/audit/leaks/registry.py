"""Every leak test on pairs of images by its name in `audit.leaks`."""

from __future__ import annotations

from schemas.training import LeakName
from stages.audit.leaks.delta_alone import delta_alone
from stages.audit.leaks.detectable import detectable
from stages.audit.leaks.pairs import LeakTest

LEAK_TESTS: dict[LeakName, LeakTest] = {"detectable": detectable, "delta_alone": delta_alone}
"""`unlisted` is none of them: it reads the figures of victims (`unlisted.py`)."""
