"""How smoothly Explore follows a slider that is dragged, inside a real browser.

    python -m benchmarks.browser.drag [--models resnet20 vgg] [--seconds 5] [--link "sparsity=0.13"]

Prints a markdown table. Each of the two sliders is dragged to and fro for some seconds. Frames: how many the browser
paints per second, the median and what 95 % of the frames reach. Pictures: how often the weights were drawn, per second.
First: the milliseconds from the first move until a picture of it is painted, soon after the page was opened. Without a
`--link`, the float network is dragged, whose accuracy is known; with the settings of a link that were not measured,
workers count images on all cores meanwhile. Needs Debian's chromium.
"""

import argparse
import math
import time

import numpy as np
from playwright.sync_api import Browser, Page

from benchmarks.journey import open_page
from benchmarks.setting import conditions, table
from compression.paths import PROJECT
from tests.support.serving import browsing, chromium_or_exit, serving

SLIDERS = ("Bits per weight", "Sparsity")
SWING_SECONDS = 2.0
MOVE_SECONDS = 0.008
WATCH = """
journey.frames = [];
journey.pictures = 0;
journey.first = null;
const figure = journey.weights();
new MutationObserver(() => { journey.pictures += 1; }).observe(figure.querySelector("canvas"), {attributes: true});
new MutationObserver(() => {
    if (figure.dataset.state === "sketch" && journey.moved) {
        const moved = journey.moved;
        requestAnimationFrame(() => { journey.first ??= performance.now() - moved; });
    }
}).observe(figure, {attributes: true});
addEventListener("pointermove", event => { journey.moved ??= event.timeStamp; }, true);
const tick = now => { journey.frames.push(now); requestAnimationFrame(tick); };
requestAnimationFrame(tick);
"""


def drag(page: Page, label: str, seconds: float) -> tuple[list[float], float, float]:
    """Drags a slider to and fro. Returns the milliseconds of each frame, pictures per second, ms to the first."""
    track = page.get_by_role("group", name=label).locator("> [data-orientation]").bounding_box()
    thumb = (
        page.get_by_role("group", name=label).get_by_test_id("stSliderThumbValue").locator("xpath=..").bounding_box()
    )
    assert track
    assert thumb
    y = track["y"] + track["height"] / 2
    page.mouse.move(thumb["x"] + thumb["width"] / 2, y)
    page.mouse.down()
    page.evaluate("Object.assign(journey, {frames: [], pictures: 0, first: null, moved: null})")
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        place = 0.5 - 0.5 * math.cos(2 * math.pi * passed / SWING_SECONDS)
        page.mouse.move(track["x"] + place * (track["width"] - 1), y)
        time.sleep(MOVE_SECONDS)
    frames, pictures, first = page.evaluate("[journey.frames, journey.pictures, journey.first]")
    page.mouse.up()
    return np.diff(frames).tolist(), pictures / seconds, first


def measure(browser: Browser, url: str, name: str, link: str, seconds: float) -> list[tuple[str, ...]]:
    """Returns a row of the table for each slider."""
    rows = []
    for label in SLIDERS:
        page = open_page(browser, f"{url}/?model={name}&{link}")
        page.wait_for_function("journey.weights()?.dataset.state === 'exact' && window.squeezelabSketches?.size")
        page.evaluate(WATCH)
        frames, pictures, first = drag(page, label, seconds)
        rates = 1000 / np.array(frames)
        rows.append(
            (
                f"{name}, {label}",
                f"{np.median(rates):.0f}",
                f"{np.percentile(rates, 5):.0f}",
                f"{pictures:.0f}",
                f"{first:.0f}",
            )
        )
        page.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["resnet20", "vgg"])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--link", default="")
    options = parser.parse_args()
    with browsing(chromium_or_exit()) as browser, serving(PROJECT) as server:
        rows = [
            row for name in options.models for row in measure(browser, server.url, name, options.link, options.seconds)
        ]
    print(f"Headless Chromium and server on the same machine; {conditions()}\n")
    print(table(("dragged", "frames / s", "95 % of frames reach", "pictures / s", "first, ms"), rows))


if __name__ == "__main__":
    main()
