"""A gallery of images with the predictions of both networks, as HTML that needs one message to the browser."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from compression.inside.answers import Answer
from pages.ui import wording
from pages.ui.charts.style import COMPRESSED, FLOAT

TILES = 12
STYLE = """
<style>
.inside-gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr));
  gap: 0.75rem; font-size: 0.8rem; line-height: 1.25; }
.inside-gallery img, .inside-gallery .no-picture { width: 6rem; height: 6rem; image-rendering: pixelated;
  display: block; margin-bottom: 0.25rem; border-radius: 0.25rem; }
.inside-gallery .no-picture { border: 1px dashed #808080; display: grid; place-content: center; }
.inside-gallery .bar { height: 0.35rem; margin: 0.1rem 0 0.25rem; background: rgba(128, 128, 128, 0.25); }
.inside-gallery .bar div { height: 100%; }
.inside-gallery .no-picture ~ .bar { display: none; }
</style>
"""


@dataclass(frozen=True)
class Tile:
    """One image: its number, its true class, the classes that both networks predict, and a picture if there is one.

    `note` is a further line. `before` and `after` have the probabilities, or are None where they are not known.
    """

    number: int
    truth: str
    classes: tuple[str, str]
    picture: str | None
    note: str = ""
    before: Answer | None = None
    after: Answer | None = None

    @property
    def alt(self) -> str:
        """What the picture shows, for people who do not see it."""
        before, after = self.classes
        return f"Test image {self.number}, a picture of class {self.truth}; float: {before}, compressed: {after}"


def html(tiles: Sequence[Tile]) -> str:
    """Returns the gallery."""
    return f'{STYLE}<div class="inside-gallery" role="list">{"".join(map(_tile, tiles))}</div>'


def _tile(tile: Tile) -> str:
    picture = (
        f'<img src="{tile.picture}" alt="{escape(tile.alt)}">'
        if tile.picture
        else f'<div class="no-picture" role="img" aria-label="{escape(tile.alt)}">no picture</div>'
    )
    note = f"<div>{escape(tile.note)}</div>" if tile.note else ""
    before, after = tile.classes
    return (
        f'<div role="listitem">{picture}<div><b>{escape(tile.truth)}</b> · {tile.number}</div>{note}'
        f"{_bar('float', before, tile.before, FLOAT)}{_bar('compressed', after, tile.after, COMPRESSED)}</div>"
    )


def _bar(network: str, name: str, answer: Answer | None, colour: str) -> str:
    words, bar = f"{network}: {escape(name)}", ""
    if answer:
        words += f" {wording.percent(answer.probability, 0)}"
        bar = f'<div style="width: {100 * answer.probability:.0f}%; background: {colour}"></div>'
    return f'<div>{words}</div><div class="bar">{bar}</div>'
