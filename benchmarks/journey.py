"""From releasing a slider to the panels painted and to the accuracy: what a reader waits for, inside a real browser.

    python -m benchmarks.journey [--models resnet20 vgg] [--moves 40]

Prints a markdown table: median and 95th percentile in milliseconds over the moves, bits and sparsity in turn, each to a
spec not seen before. The clock runs from the time stamp of the release until the browser has painted the first frame
in which three metrics say and two charts have drawn what `compression` computes for the new spec. The first line is
the floor: the same in an empty page, with one slider and its value in words.

A second table: from the release to the first accuracy, to one within a point of its interval's middle (of the specs
that lose less than five points), and to the exact one. Nothing is known beforehand but the float network's
accuracy, and a move begins when the one before is exact.

The last line is of a machine without images: from the release to the accuracy that was measured beforehand, painted.
Needs Debian's chromium.
"""

import argparse
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from playwright.sync_api import Browser, Page
from tqdm import tqdm

from benchmarks.setting import conditions, network, table
from compression.core.compress import compress
from compression.core.record import bit_operations
from compression.files.ledger import count_file
from compression.inspect.histogram import build_weight_view
from compression.networks.macs import layer_macs
from compression.networks.model import FloatModel
from compression.paths import PROJECT
from compression.results.landscape import read_landscape
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from compression.spec import grid as grids
from pages.ui import wording
from pages.ui.charts import explore, style
from pages.ui.settings.controls import BITS
from pages.ui.settings.widgets import MOST_SPARSE
from tests.support.serving import browsing, chromium_or_exit, serving

WARM_UP = 3
LITTLE = 5  # points of accuracy lost
START = 8, 0.0  # bits and sparsity
QUIET_MS = 400
FLOOR = """\
import streamlit as st
st.write(f"It is {st.slider('Sparsity', 0.0, 0.99, step=0.01, format='percent')}")
"""
WATCH = """
window.journey = {};
const options = {subtree: true, childList: true, characterData: true, attributes: true};
const text = element => element.textContent;
const all = (selector, where = document) => [...where.querySelectorAll(selector)];
addEventListener("pointerup", event => journey.released ??= event.timeStamp, true);

const drawn = chart => chart.data && chart._fullLayout && chart.style.visibility !== "hidden"
    && chart.querySelector(".point, .js-fill") && JSON.stringify(chart.data.map(trace => trace.y));

journey.weights = () => all(".st-key-weights *").map(each => each.shadowRoot?.querySelector("figure")).find(Boolean);

journey.shows = ({metrics, charts, words, weights}) => {
    const said = Object.fromEntries(all("[data-testid=stMetric]:not([data-estimate])").map(metric => [
        text(metric.querySelector("[data-testid=stMetricLabel] p")),
        text(metric.querySelector("[data-testid=stMetricValue]"))]));
    if (!Object.entries(metrics).every(([label, value]) => said[label] === value)) return false;
    if (words && !all("[data-testid=stMarkdownContainer]").some(element => text(element) === words)) return false;
    const figure = weights && journey.weights();
    if (figure?.dataset.state === "sketch") return false;
    if (weights && !figure?.querySelector("canvas").getAttribute("aria-label").endsWith(weights)) return false;
    const there = all(".js-plotly-plot").map(drawn);
    return charts.every(chart => there.includes(JSON.stringify(chart)));
};

journey.accuracy = () => {
    const metric = all("[data-testid=stMetric]:not([data-estimate])")
        .find(metric => text(metric).startsWith("Accuracy"));
    return metric ? text(metric.querySelector("[data-testid=stMetricValue]")) : "";
};

journey.time = () => {
    const before = journey.accuracy(), now = () => performance.now() - journey.released;
    const times = journey.times = {said: null, first: null, within: null, exact: null};
    let changed = false;
    journey.exact = new Promise((resolve, reject) => {
        setTimeout(() => reject(Error("never exact")), 120_000);
        const observer = new MutationObserver(() => {
            if (journey.released === null) return;
            if (!journey.accuracy()) return;
            const said = times.said = journey.accuracy(), half = said.match(/± ([0-9.]+)/);
            changed ||= said !== before;
            if (!changed || said === "…") return;
            times.first ??= now();
            if (!half || Number(half[1]) <= 1) times.within ??= now();
            if (half) return;
            times.exact ??= now();
            observer.disconnect();
            resolve(times);
        });
        observer.observe(document.body, options);
    });
};

journey.expect = expected => {
    journey.released = null;
    journey.painted = new Promise((resolve, reject) => {
        setTimeout(() => reject(Error(`never painted: ${JSON.stringify(expected)}`)), 30_000);
        const observer = new MutationObserver(() => {
            if (journey.released === null || !journey.shows(expected)) return;
            observer.disconnect();
            requestAnimationFrame(() => {
                const {port1, port2} = new MessageChannel();  // its message comes when the frame is painted
                port1.onmessage = () => resolve(performance.now() - journey.released);
                port2.postMessage(0);
            });
        });
        observer.observe(document.body, options);
        all("*").filter(each => each.shadowRoot).forEach(each => observer.observe(each.shadowRoot, options));
    });
};

journey.quiet = milliseconds => new Promise(resolve => {
    const later = () => setTimeout(() => {
        if (document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "notRunning") {
            observer.disconnect();
            resolve();
        } else timer = later();
    }, milliseconds);
    const observer = new MutationObserver(() => { clearTimeout(timer); timer = later(); });
    let timer = later();
    observer.observe(document.body, options);
});
"""


def specs(model: str, number: int) -> Iterator[CompressionSpec]:
    """Yields different specs, the same ones each time. Each differs from the one before by one slider."""
    chance = random.Random(0)
    bits, sparsity = START
    earlier = {START}
    for turn in range(number):
        while (bits, sparsity) in earlier:
            if turn % 2:
                bits = int(chance.choice(BITS[1:]))
            else:
                sparsity = chance.randrange(1, 100) / 100
        earlier.add((bits, sparsity))
        yield CompressionSpec(model, PruneSpec(sparsity=sparsity), QuantSpec(bits))


def answer(model: FloatModel, macs: dict[str, int], spec: CompressionSpec) -> dict[str, Any]:
    """Returns what the page must show for `spec`: three metrics, the weights in words, and the bars of a chart."""
    compressed = compress(model.module, spec)
    file = count_file(compressed, model, quick=True)
    measured = read_landscape(model).get(spec)
    about = "" if measured or file.exact else "≈ "
    view = build_weight_view(compressed)
    figure = explore.layers(file, [layer.facts for layer in compressed.layers], style.ink("light"))
    return {
        "metrics": {
            "File size": about + wording.size(measured.costs.file if measured else file.total),
            "Sparsity": wording.percent(compressed.sparsity),
            "Bit operations": wording.quantity(bit_operations(compressed, macs)),
        },
        "charts": [[list(trace["y"]) for trace in figure.to_dict()["data"]]],
        "weights": f"{wording.percent(view.zeros / view.weights)} are zero. "
        f"Signal-to-quantization-noise ratio {wording.decibels(view.sqnr_db)}.",
    }


def release(page: Page, label: str, share: float, expected: dict[str, Any]) -> float:
    """Moves a slider to `share` of its way. Returns the milliseconds from its release until `expected` is painted."""
    page.evaluate(f"journey.quiet({QUIET_MS})")
    page.evaluate("expected => journey.expect(expected)", expected)
    track = page.get_by_role("group", name=label).locator("> [data-orientation]").bounding_box()
    assert track
    page.mouse.move(track["x"] + min(share * track["width"], track["width"] - 1), track["y"] + track["height"] / 2)
    page.mouse.down()
    page.mouse.up()
    return page.evaluate("journey.painted")


def open_page(browser: Browser, url: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(60_000)
    page.goto(url)
    page.get_by_test_id("stSlider").first.wait_for()
    page.evaluate(WATCH)
    return page


def floor(browser: Browser, moves: int) -> list[float]:
    """Returns the milliseconds of each move in a page that has only a slider and its value."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "app.py").write_text(FLOOR)
        shutil.copytree(PROJECT / ".streamlit", Path(folder, ".streamlit"))
        with serving(Path(folder)) as server:
            page = open_page(browser, server.url)
            shares = [spec.prune.sparsity for spec in specs("", 2 * (WARM_UP + moves)) if spec.prune][::2]
            return [
                release(page, "Sparsity", share / MOST_SPARSE, {"metrics": {}, "charts": [], "words": f"It is {share}"})
                for share in tqdm(shares, "floor", leave=False)
            ]


def time_moves(browser: Browser, url: str, name: str, moves: int) -> Iterator[dict[str, float]]:
    """Yields, per move on Explore, the milliseconds until painted and until accuracy, and the drop in accuracy."""
    model = network(name, random=False)
    assert model.accuracy
    macs = layer_macs(model.module, model.example)
    bits, sparsity = START
    page = open_page(browser, f"{url}/?model={name}&bits={bits}&sparsity={sparsity}")
    for turn, spec in enumerate(tqdm(specs(name, WARM_UP + moves), name, WARM_UP + moves, leave=False)):
        assert spec.prune
        assert spec.weights
        where = slider(turn, spec.weights.bits, spec.prune.sparsity or 0)
        page.evaluate(f"journey.quiet({QUIET_MS})")
        page.evaluate("journey.time()")
        painted_ms = release(page, *where, answer(model, macs, spec))
        times = page.evaluate("journey.exact")
        lost = 100 * model.accuracy - float(times["said"].split()[0].rstrip("%"))
        if turn >= WARM_UP:
            yield {"painted": painted_ms, "lost": lost, **{key: times[key] for key in ("first", "within", "exact")}}
    page.close()


def time_known_moves(browser: Browser, url: str, name: str, moves: int) -> Iterator[float]:
    """Yields, per move to a spec of the committed landscape, the milliseconds until its accuracy is painted."""
    bits, sparsity = START
    page = open_page(browser, f"{url}/?model={name}&bits={bits}&sparsity={sparsity}")
    yield from release_known(page, name, moves, lambda *_, words: {"metrics": {"Accuracy": words}, "charts": []})


def release_known(page: Page, name: str, moves: int, expected: Callable[..., dict[str, Any]]) -> Iterator[float]:
    """Yields, per move to a spec of the committed landscape, the milliseconds until what is `expected` is painted.

    `expected` gets the bits, the sparsity and, as `words`, the accuracy. At the end the page is closed.
    """
    specs_and_words = list(islice(known_specs(network(name, random=False)), WARM_UP + moves))
    for number, (turn, bits, sparsity, words) in enumerate(tqdm(specs_and_words, f"{name}, known", leave=False)):
        time = release(page, *slider(turn, bits, sparsity), expected(bits, sparsity, words=words))
        if number >= WARM_UP:
            yield time
    page.close()


def known_specs(model: FloatModel) -> Iterator[tuple[int, int, float, str]]:
    """Yields (turn, bits, sparsity, accuracy as text) of the landscape; each accuracy differs from the one before."""
    landscape, chance, last_words = read_landscape(model), random.Random(0), ""
    bits, sparsity = START
    for turn in count():
        others = (
            product([bits], grids.GRID_SPARSITIES)
            if turn % 2 == 0
            else product(filter(None, grids.GRID_BITS), [sparsity])
        )
        specs = {each: CompressionSpec(model.name, PruneSpec(sparsity=each[1]), QuantSpec(each[0])) for each in others}
        results = {each: landscape.get(spec) for each, spec in specs.items()}
        words = {each: wording.percent(result.evaluation.accuracy, 2) for each, result in results.items() if result}
        if choices := [each for each in words if words[each] != last_words]:
            bits, sparsity = chance.choice(choices)
            last_words = words[bits, sparsity]
            yield turn, bits, sparsity, last_words


def slider(turn: int, bits: int, sparsity: float) -> tuple[str, float]:
    """Returns which slider is moved in this turn, and to which share of its way."""
    if turn % 2:
        return "Bits per weight", BITS.index(str(bits)) / (len(BITS) - 1)
    return "Sparsity", sparsity / MOST_SPARSE


def figures(times: Sequence[float]) -> tuple[str, str, str]:
    return f"{len(times)}", f"{np.median(times):.0f}", f"{np.percentile(times, 95):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["resnet20", "vgg"])
    parser.add_argument("--moves", type=int, default=40)
    options = parser.parse_args()
    with browsing(chromium_or_exit()) as browser, tempfile.TemporaryDirectory() as folder:
        rows = [("an empty page", *figures(floor(browser, options.moves)[WARM_UP:]))]
        nothing_known = os.environ | {"SQUEEZELAB_RESULTS": str(Path(folder) / "results.sqlite")}
        with serving(PROJECT, nothing_known) as server:
            by_model = {
                name: pd.DataFrame(time_moves(browser, server.url, name, options.moves)) for name in options.models
            }
        with serving(PROJECT, nothing_known | {"CIFAR10_ROOT": str(Path(folder) / "no images")}) as server:
            times_of_known = {
                name: list(time_known_moves(browser, server.url, name, options.moves)) for name in options.models
            }
    rows += [(name, *figures(moves.painted)) for name, moves in by_model.items()]
    print(f"Headless Chromium and server on the same machine; {conditions()}\n")
    print(table(("release to painted", "moves", "median ms", "95th percentile ms"), rows))
    rows = []
    for name, moves in by_model.items():
        rows += [
            (f"{name}, first accuracy", *figures(moves["first"])),
            (f"{name}, ± 1.0 points or better, lost < 5", *figures(moves[moves.lost < LITTLE].within)),
            (f"{name}, exact", *figures(moves.exact)),
            (f"{name}, no images, measured beforehand", *figures(times_of_known[name])),
        ]
    print()
    print(table(("release to accuracy", "moves", "median ms", "95th percentile ms"), rows))


if __name__ == "__main__":
    main()
