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
from compression.inside.own_image import read_image
from compression.inside.saliency import MapPair, Method, Saliency, explain, explain_both, rank_correlation

__all__ = [
    "Calibration",
    "Change",
    "ClassChange",
    "Comparison",
    "MapPair",
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
    "explain_both",
    "in_cell",
    "measure_reliability",
    "often_lost",
    "rank_correlation",
    "read_image",
    "sort_surest_first",
]
