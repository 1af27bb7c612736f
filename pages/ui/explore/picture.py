"""The chart of the weights, which follows a slider while it moves, and the sketch of the weights that it does so with.

It is a component with a canvas of its own, because Plotly takes 50 ms per drawing. The scripts beside this file are one
module for the browser; `estimate.js` says what is computed there.
"""

import base64
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from compression.inspect.histogram import WeightView
from compression.inspect.sketch import BINS, PERCENTS, WeightSketch
from pages.ui.charts import show
from pages.ui.charts.style import COMPRESSED, COMPRESSED_OTHERWISE, HEIGHT, LOSS, REMOVED, SMALL

PICTURE = ("estimate.js", "wording.js", "drawing.js", "picture.js")
SKETCH = ("estimate.js", "sketch.js")
KEY = "weights"
HTML = '<figure><figcaption>Weights of <select aria-label="Weights shown"></select></figcaption>'
HTML += '<p></p><canvas role="img"></canvas><output hidden></output></figure>'
CSS = f"""
figure {{ margin: 0; position: relative; color: var(--st-text-color); font-family: var(--st-font);
  font-size: {SMALL}px; display: flex; flex-direction: column; }}
figcaption, select {{ font-size: {14 / SMALL:.3f}em; font-weight: 600; }}
figcaption select {{ font-size: inherit; }}
select {{ font-family: inherit; color: inherit; background: var(--st-background-color); padding: 0 0.2em;
  border: 0; border-bottom: 1px dotted; cursor: pointer; max-width: 70%; }}
p {{ margin: 0; display: flex; flex-wrap: wrap; gap: 0 0.9em; }}
p i {{ display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.35em; }}
canvas {{ flex: 1; width: 100%; min-height: 0; }}
output {{ position: absolute; top: 4em; padding: 2px 6px; border-radius: 4px; pointer-events: none;
  color: var(--st-background-color); background: var(--st-text-color); }}
"""
COLOURS = {
    "float": "rgba(0, 114, 178, 0.6)",
    "compressed": COMPRESSED,
    "removed": REMOVED,
    "clipped": LOSS,
    "frozen": COMPRESSED_OTHERWISE,
}
LABELS = {"size": "File size", "sparsity": "Sparsity", "operations": "Bit operations", "accuracy": "Accuracy"}


def script(names: Sequence[str]) -> str:
    """Returns the module for the browser that the files of these names make."""
    return "\n".join(Path(__file__).with_name(name).read_text("utf-8") for name in names)


_picture = st.components.v2.component("weights", html=HTML, css=CSS, js=script(PICTURE))
_sketch = st.components.v2.component("sketch of weights", js=script(SKETCH))


def bring(name: str, sketch: dict[str, Any]) -> None:
    """Brings the sketch of a network, a `message`, to the browser, under a name. Takes no room."""
    _sketch(key="sketch", data={"name": name, **sketch}, height=1)


def draw(
    view: WeightView,
    frozen: WeightView | None,
    names: Sequence[str],
    shown: str,
    base: str,
    drag: dict[str, Any] | None,
    pick: Callable[[str], None],
) -> None:
    """Draws the weights of what is `shown`, one of `names`, and calls `pick` with the name that the reader picks.

    `base`: what the network before compression is called. `frozen`: the weights of the state A, which are drawn as
    marks. `drag` is what the browser needs to follow the sliders, see `drag.follow`.
    """
    scale = show.text_scale()
    _picture(
        key=KEY,
        data={
            "view": _values(view),
            "frozen": frozen and _values(frozen),
            "names": list(names),
            "shown": shown,
            "base": base,
            "colours": COLOURS,
            "pixels": SMALL * scale,
            "height": HEIGHT * scale,
            "drag": drag and drag | {"labels": LABELS},
        },
        height=round(HEIGHT * scale),
        on_picked_change=lambda: pick(st.session_state[KEY]["picked"]),
    )


def _values(view: WeightView) -> dict[str, Any]:
    """Returns a view as JSON, which has no infinity."""
    values = asdict(view)
    before = values.pop("before")
    sqnr = values.pop("sqnr_db")
    return values | {
        "before": before["counts"],
        "reach": before["edges"][-1],
        "sqnr": sqnr if math.isfinite(sqnr) else None,
    }


def message(sketch: WeightSketch, macs: dict[str, int]) -> dict[str, Any]:
    """Returns a sketch as `readSketch` of estimate.js reads it. `macs`: multiply-accumulates by layer."""
    layers = sketch.layers
    thresholds = [sketch.thresholds, *(layer.thresholds for layer in layers)]
    return {
        "bins": BINS,
        "percents": PERCENTS,
        "layers": [
            {
                "name": each.name,
                "weights": each.weights,
                "tiny": each.tiny,
                "channels": len(each.peaks),
                "macs": macs[each.name],
            }
            for each in layers
        ],
        "peaks": _text(np.concatenate([layer.peaks for layer in layers]).tobytes()),
        "counts": _text(zlib.compress(np.concatenate([layer.counts for layer in layers]).tobytes())),
        "thresholds": _text(np.concatenate(thresholds).tobytes()),
    }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
