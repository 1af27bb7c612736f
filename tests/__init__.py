"""Imports `compression` before anything loads torch: the package sets how torch's threads wait."""

import squeezelab  # noqa: F401
