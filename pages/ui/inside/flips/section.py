"""The section Flips: a confusion matrix, and a gallery of the images that change sides."""

import math
from dataclasses import dataclass, replace

import streamlit as st

from compression.inside.flips import Change, Comparison, Matrix, OftenLost, confusion, in_cell, sort_surest_first
from compression.spec import CompressionSpec
from pages.ui import wording
from pages.ui.accuracy.polling import wait_for_painting
from pages.ui.compute import inside
from pages.ui.inside import missing
from pages.ui.inside.flips import gallery, matrix
from pages.ui.settings import selection
from pages.ui.state import session
from pages.ui.state.link import FLIPS, OFTEN_LOST
from pages.ui.state.value import ALL

OPENED = "open image"
MATRIX_HELP = """\
Float to compressed: rows are the predictions of the float network, columns those of the compressed one. Float,
Compressed: rows are true classes, columns are predictions. Click a cell to see its images."""
FLIPS_HELP = """\
Lost: float is correct, compressed is not. Won: the other way round. Both wrong: two different wrong predictions. Often
lost: counted over all compressed networks that were measured and whose accuracy drops by at most 10 points; such
images are called compression-identified exemplars (Hooker et al. 2019)."""


@dataclass(frozen=True)
class Selection:
    """The images that the gallery shows, in their order, and what they are. `often`: how often each image is lost."""

    rows: tuple[int, ...]
    words: str
    often: OftenLost | None = None


def draw(model: str) -> None:
    """Draws the section, or why it is empty."""
    spec = selection.spec(model)
    comparison = inside.comparison(spec)
    if comparison is None:
        missing.explain_predictions(model)
        return
    left, right = st.columns([1.1, 1], gap="medium")
    with left:
        _matrix(comparison)
    with right:
        _gallery(spec, comparison)
    missing.explain_pictures()


def cell_of(text: str, classes: int) -> tuple[int, int] | None:
    """Returns the row and the column that a link says, "3-5", or None if the matrix has no such cell."""
    row, _, column = text.partition("-")
    cell = (int(row), int(column)) if text else None
    return cell if cell and max(cell) < classes else None


def _matrix(comparison: Comparison) -> None:
    now = session.now()
    st.selectbox("Confusion matrix", list(Matrix), help=MATRIX_HELP, **session.bound("matrix", now.matrix, st.rerun))
    counts, cell = confusion(comparison, now.matrix), cell_of(now.cell, len(comparison.classes))
    matrix.draw(counts, comparison.classes, now.matrix, cell, _show_cell)


def _show_cell(cell: str) -> None:
    """Shows the images of the cell that the reader picks, "3-5"."""
    session.change(cell=cell, gallery=1)
    st.rerun()


def _gallery(spec: CompressionSpec, comparison: Comparison) -> None:
    cell = cell_of(session.now().cell, len(comparison.classes))
    if cell:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{cell_in_words(comparison, session.now().matrix, *cell)}**", width="content")
            st.button("All images", key="clear cell", icon=":material/close:", on_click=_clear)
    else:
        now = session.now()
        st.segmented_control(
            "Images", FLIPS, required=True, help=FLIPS_HELP, **session.bound("flips", now.flips, st.rerun)
        )
    place = st.container(horizontal=True, vertical_alignment="bottom")
    if not cell and session.now().flips != OFTEN_LOST:
        place.selectbox(
            "True class", [ALL, *comparison.classes], **session.bound("true_class", _true_class(comparison), st.rerun)
        )
    chosen = select(spec.model, comparison, cell)
    pages = max(1, math.ceil(len(chosen.rows) / gallery.TILES))
    page = min(session.now().gallery, pages)
    with place:
        st.number_input(
            f"Page of {pages:,}",
            1,
            pages,
            disabled=pages == 1,
            width=130,
            **session.bound("gallery", page, st.rerun, range_of=pages),
        )
    st.caption(chosen.words)
    rows = chosen.rows[(page - 1) * gallery.TILES : page * gallery.TILES]
    if rows:
        tiles, shown = _tiles(comparison, rows, chosen.often), st.empty()
        shown.html(gallery.html(tiles))
        if inside.pictures(rows[:1]):
            st.pills("Open in the section Image", rows, format_func=str, key=OPENED, on_change=_open)
            wait_for_painting()  # the pictures, before the probabilities are computed
            shown.html(gallery.html(_with_probabilities(spec, tiles)))


def _open() -> None:
    """Shows the image that was chosen in the section Image."""
    if (number := st.session_state[OPENED]) is not None:
        session.change(section="Image", picture=number)
    st.rerun()


def _clear() -> None:
    session.change(cell="", gallery=1)
    st.rerun()


def _true_class(comparison: Comparison) -> str:
    name = session.now().true_class
    return name if name in comparison.classes else ALL


def cell_in_words(comparison: Comparison, matrix: Matrix, row: int, column: int) -> str:
    """Returns what the images of a cell have in common."""
    first, second = comparison.classes[row], comparison.classes[column]
    if matrix is Matrix.CHANGE:
        return f"Float predicts {first}, compressed predicts {second}"
    return f"Class {first}, predicted as {second} by the {matrix.lower()} network"


def select(model: str, comparison: Comparison, cell: tuple[int, int] | None) -> Selection:
    """Returns the images of a cell of the matrix, or those that the widgets say."""
    now = session.now()
    if cell is None and now.flips == OFTEN_LOST:
        return _often(model)
    if cell:
        mask = in_cell(comparison, now.matrix, *cell)
    else:
        mask = comparison.changes[Change(now.flips)]
        if (name := _true_class(comparison)) != ALL:
            mask = mask & (comparison.labels == comparison.classes.index(name))
    rows = sort_surest_first(comparison, mask)
    order = ", those first of which the float network is the surest" if len(rows) > 1 else ""
    return Selection(rows, f"{len(rows):,} image{'s' * (len(rows) != 1)}{order}.")


def _often(model: str) -> Selection:
    often = inside.often(model)
    if often is None or not often.networks:
        return Selection((), "No compressed network with an accuracy near that of the float network was measured yet.")
    left_out = f" {often.left_out} others drop by more than 10 points and are not counted." if often.left_out else ""
    return Selection(
        often.ranking,
        f"{len(often.ranking):,} images are lost by at least one of {often.networks} compressed networks, "
        f"{int(often.by_all.sum()):,} by all of them.{left_out}",
        often,
    )


def _tiles(comparison: Comparison, rows: tuple[int, ...], often: OftenLost | None) -> list[gallery.Tile]:
    """Returns the images with the classes that both networks predict, which are known at once."""
    names = comparison.classes
    return [
        gallery.Tile(
            number=row,
            truth=names[comparison.labels[row]],
            classes=(names[comparison.before[row]], names[comparison.after[row]]),
            picture=picture,
            note=f"lost by {wording.percent(int(often.losses[row]) / often.networks, 0)} of networks" if often else "",
        )
        for row, picture in zip(rows, inside.pictures(rows) or [None] * len(rows), strict=True)
    ]


def _with_probabilities(spec: CompressionSpec, tiles: list[gallery.Tile]) -> list[gallery.Tile]:
    """Returns the images with the probabilities, too, for which both networks see them."""
    rows = tuple(each.number for each in tiles)
    before = inside.answers_to(CompressionSpec(spec.model), rows)
    after = [None] * len(rows) if inside.is_pending(spec) else inside.answers_to(spec, rows)
    return [replace(tile, before=first, after=second) for tile, first, second in zip(tiles, before, after, strict=True)]
