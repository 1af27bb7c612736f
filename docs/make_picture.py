"""Makes docs/explore.png, the moving picture of the README: the real app, driven in a real browser.

    python docs/make_picture.py

Needs Debian's chromium. The picture is an animated PNG: browsers play it, and other programs show its first frame.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from tests.support.serving import browsing, chromium_or_exit, serving  # noqa: E402

SIZE = {"width": 1280, "height": 760}
SHOWN = (960, 570)  # pixels
SETTLE_MS, HOLD_MS, MOVE_MS = 1500, 2200, 350
MOVES = (("Bits per weight", ("ArrowRight",) * 4), ("Sparsity", ("PageUp",) * 4))


def frames(page: Page, url: str) -> Iterator[tuple[Image.Image, int]]:
    """Screenshots of a reader who moves two sliders, and how long each is shown, in milliseconds."""
    page.goto(f"{url}/?model=resnet20&bits=8")
    page.get_by_text("test images").first.wait_for()
    page.wait_for_timeout(4 * SETTLE_MS)
    yield shot(page), HOLD_MS
    for label, keys in MOVES:
        slider = page.get_by_role("slider", name=label).first
        slider.focus()
        for key in keys:
            slider.press(key)
            page.wait_for_timeout(SETTLE_MS)
            yield shot(page), MOVE_MS
        page.wait_for_timeout(4 * SETTLE_MS)
        yield shot(page), HOLD_MS


def shot(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB").resize(SHOWN, Image.Resampling.LANCZOS)


def main() -> None:
    with serving(PROJECT) as server, browsing(chromium_or_exit()) as browser:
        shots, durations = zip(*frames(browser.new_page(viewport=SIZE), server.url), strict=True)
    path = PROJECT / "docs" / "explore.png"
    shots[0].save(path, save_all=True, append_images=shots[1:], duration=list(durations), loop=0, optimize=True)
    print(f"{path.name}: {len(shots)} frames, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
