"""What happens inside a compressed network: which images it loses, how sure it is, and where it looks.

`from compression import inside` offers the functions of `__all__` to notebooks and scripts.
"""

from compression.inside.calibration import Calibration, Reliability, calibrate, measure_reliability
from compression.inside.flips import (
    Change,
    ClassChange,
    Comparison,
    Matrix,
    OftenLost,
    class_changes,
    compare,
    confusion,
    in_cell,
    often_lost,
    sort_surest_first,
)
from compression.inside.saliency import Method, Saliency, explain, rank_correlation

__all__ = [
    "Calibration",
    "Change",
    "ClassChange",
    "Comparison",
    "Matrix",
    "Method",
    "OftenLost",
    "Reliability",
    "Saliency",
    "calibrate",
    "class_changes",
    "compare",
    "confusion",
    "explain",
    "in_cell",
    "measure_reliability",
    "often_lost",
    "rank_correlation",
    "sort_surest_first",
]
