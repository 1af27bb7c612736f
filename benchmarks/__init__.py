"""Side by side with the usual way of doing it. `compression` first: it says how threads wait before torch is loaded."""

import compression  # noqa: F401
