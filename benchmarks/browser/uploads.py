"""Memory of the server while one person after another uploads a network of 61 MB, looks at it, and leaves.

    python -m benchmarks.browser.uploads [--uploads 50]

Prints a markdown table: the memory of the server with its workers before the first upload, when a bundled network has
been shown and counted; after each ten uploads; and three minutes after the last one, when Streamlit has ended the
sessions of closed tabs. Each file holds another network: simple_cnn with a wide hidden layer. Needs Debian's chromium.
"""

import argparse
import os
import re
import tempfile
import time
from pathlib import Path

import safetensors.torch
import torch
from playwright.sync_api import Browser, expect
from tqdm import trange

from benchmarks.classroom import load
from benchmarks.setting import conditions, table
from compression.networks.bundled import load_bundled
from compression.paths import PROJECT
from tests.support.serving import browsing, chromium_or_exit, serving

UNITS = 7_300  # more in the hidden layer: 15 million weights
SETTLE_SECONDS = 180
PATIENCE_MS = 120_000
AS_MAKE = os.environ | {"MALLOC_ARENA_MAX": "1"}  # as the Makefile starts the server


def content(seed: int) -> bytes:
    """Returns a checkpoint of simple_cnn with more hidden units, random ones that the output layer does not use."""
    generator = torch.Generator().manual_seed(seed)
    state = {name: each.contiguous() for name, each in load_bundled("simple_cnn").module.state_dict().items()}
    inputs, classes = state["fc1.weight"].shape[1], len(state["fc2.bias"])
    more = {
        "fc1.weight": 0.02 * torch.randn(UNITS, inputs, generator=generator),
        "fc1.bias": torch.zeros(UNITS),
        "fc2.weight": torch.zeros(classes, UNITS),
    }
    wider = {name: torch.cat((state[name], each), dim=int(name == "fc2.weight")) for name, each in more.items()}
    return safetensors.torch.save(state | wider)


def look(browser: Browser, url: str, file: Path | None) -> None:
    """Opens Explore with the network of the file, or with a bundled one, waits for an accuracy, and leaves."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    if file:
        page.goto(f"{url}/checkpoint")
        page.locator("input[type=file]").set_input_files(file)
        link = page.get_by_role("link", name=re.compile("Explore wide"))
        while "model=wide" not in page.url:  # a click is lost while the page is drawn again
            link.click()
            page.wait_for_timeout(1000)
    else:
        page.goto(f"{url}/?model=simple_cnn&bits=5&sparsity=0.37")
    expect(page.get_by_test_id("stMetric").filter(has_text="Accuracy")).to_have_text(
        re.compile(r"\d"), timeout=PATIENCE_MS
    )
    page.goto("about:blank")  # Chromium may keep the connection of a page that is closed
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=50)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        browsing(chromium_or_exit()) as browser,
        serving(PROJECT, AS_MAKE) as server,
    ):
        file = Path(folder) / "wide.safetensors"
        look(browser, server.url, None)
        rows = [("before the first upload", load(server.pid).memory_mb)]
        for number in trange(options.uploads, leave=False):
            file.write_bytes(content(number))
            look(browser, server.url, file)
            if number % 10 == 9:
                rows.append((f"after {number + 1} uploads", load(server.pid).memory_mb))
        time.sleep(SETTLE_SECONDS)
        rows.append((f"{SETTLE_SECONDS} s after the last one", load(server.pid).memory_mb))
    print(f"{len(content(0)) / 1e6:.0f} MB each; {conditions()}\n")
    print(table(("server and workers", "memory, MB"), [(name, f"{memory:,.0f}") for name, memory in rows]))


if __name__ == "__main__":
    main()
