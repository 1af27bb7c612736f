"""How soon the page Inside answers: from the release of a slider to the gallery, and the seconds of a saliency map.

    python -m benchmarks.browser.inside [--models resnet20 vgg] [--moves 20]

Prints two markdown tables. The first: median and 95th percentile in milliseconds from the release of a slider, on a
spec that was measured, to the frame in which the section shows what `compression` computes for the new spec. Flips:
the confusion matrix, twelve images with their pictures, and the number of lost images. Classes: the bars of all
classes, and the number of lost images. The second: the median seconds of the maps of both networks, made without a
page. Needs Debian's chromium.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from benchmarks.journey import START, figures, open_page, release_known
from benchmarks.setting import conditions, network, table
from compression.core.compress import compress
from compression.data.images import load
from compression.inside.flips import Change, Comparison, Matrix, class_changes, compare, confusion, sort_surest_first
from compression.inside.saliency import Method, explain_prediction
from compression.networks.model import FloatModel
from compression.paths import PROJECT
from compression.results.landscape import read_landscape
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from pages.ui.charts import style
from pages.ui.charts.inside import classes as charts
from pages.ui.inside.flips.gallery import TILES
from tests.support.serving import browsing, chromium_or_exit, serving

SECTIONS = ("Flips", "Classes")
MAPS = 5
WATCH = """
const others = journey.shows;
const elements = selector => [...document.querySelectorAll(selector)];
const bars = chart => chart._fullLayout && chart.data[0].x;
const cells = () => elements(".flips-matrix tbody td").map(each => Number(each.textContent));
journey.shows = ({values, tiles, ...rest}) => {
    const pictures = elements(".inside-gallery img");
    const drawn = [cells(), ...elements(".js-plotly-plot").map(bars)];
    return others(rest) && drawn.map(each => JSON.stringify(each)).includes(JSON.stringify(values))
        && JSON.stringify(pictures.map(each => Number(each.alt.match(/image ([0-9]+)/)[1]))) === JSON.stringify(tiles)
        && pictures.every(each => each.complete);
};
document.addEventListener("load", event => { document.body.dataset.loaded = event.timeStamp; }, true);
"""


def answer(comparison: Comparison, section: str) -> dict[str, Any]:
    """Returns what the section must show: the values of its chart, the numbers of its images, a metric."""
    lost = comparison.changes[Change.LOST]
    expected = {"metrics": {"Lost": f"{int(lost.sum()):,}"}, "charts": [], "tiles": []}
    if section == "Classes":
        drawing = charts.classes(class_changes(comparison), 0, style.ink("light"))
        return expected | {"values": drawing.to_dict()["data"][0]["x"]}
    return expected | {
        "values": [count for row in confusion(comparison, Matrix.CHANGE) for count in row],
        "tiles": list(sort_surest_first(comparison, lost)[:TILES]),
    }


def time_moves(browser: Browser, url: str, model: FloatModel, section: str, moves: int) -> Iterator[float]:
    """Yields, per move to a spec of the committed landscape, the milliseconds until its section is painted."""
    bits, sparsity = START
    page = open_page(browser, f"{url}/inside?model={model.name}&bits={bits}&sparsity={sparsity}&section={section}")
    page.evaluate(f"() => {{ {WATCH} }}")
    landscape = read_landscape(model)
    before = landscape.get(CompressionSpec(model.name))
    assert before

    def expected(bits: int, sparsity: float, **_: str) -> dict[str, Any]:
        after = landscape.get(CompressionSpec(model.name, PruneSpec(sparsity=sparsity), QuantSpec(bits)))
        assert after
        return answer(compare(before.evaluation, after.evaluation), section)

    yield from release_known(page, model.name, moves, expected)


def time_map(model: FloatModel, method: Method) -> float:
    """Returns the median seconds of the maps of the float network and of one with 4 bits, for several test images."""
    module = compress(model.module, CompressionSpec(model.name, weights=QuantSpec(4))).module
    images, seconds = load(), []
    for number in range(MAPS):
        began = time.perf_counter()
        explain_prediction(model, module, images.pixels[number], method)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["resnet20", "vgg"])
    parser.add_argument("--moves", type=int, default=20)
    options = parser.parse_args()
    models = [network(name, random=False) for name in options.models]
    with browsing(chromium_or_exit()) as browser, tempfile.TemporaryDirectory() as folder:
        nothing_known = os.environ | {"SQUEEZELAB_RESULTS": str(Path(folder) / "results.sqlite")}
        with serving(PROJECT, nothing_known) as server:
            rows = [
                (
                    f"{model.name}, {section}",
                    *figures(list(time_moves(browser, server.url, model, section, options.moves))),
                )
                for model in models
                for section in SECTIONS
            ]
    print(f"Headless Chromium and server on the same machine; {conditions()}\n")
    print(table(("release to the section painted", "moves", "median ms", "95th percentile ms"), rows))
    print()
    seconds = [[f"{time_map(model, method):.2f}" for model in models] for method in Method]
    print(table(("seconds of both maps", *options.models), [(m, *row) for m, row in zip(Method, seconds, strict=True)]))


if __name__ == "__main__":
    main()
