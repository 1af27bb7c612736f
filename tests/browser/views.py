"""The window sizes and themes that a page must be good in."""

import re
from collections.abc import Iterator

from playwright.sync_api import Page, expect

SIZES = ((1280, 800), (1920, 1080))
BACKGROUNDS = {  # the red of the page's background: more than 200 in the light theme, and otherwise in the dark one
    "light": re.compile(r"^rgba?\((20[1-9]|2[1-5]\d),"),
    "dark": re.compile(r"^rgba?\((\d{1,2}|1\d\d|200),"),
}


def in_every_view(page: Page) -> Iterator[tuple[str, int, int]]:
    """Shows the opened page in both themes and both sizes, one after the other, and yields what it shows it in."""
    for theme, background in BACKGROUNDS.items():
        page.emulate_media(color_scheme=theme)
        expect(page.get_by_test_id("stApp")).to_have_css("background-color", background)
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            yield theme, width, height
