"""The tree of recovered networks: who comes from whom, what each is worth, and what can be done with it."""

from collections.abc import Iterator, Sequence

import streamlit as st

from compression.library.recovered import Recovered, epochs_in_words
from compression.spec.title import title
from pages.ui import wording
from pages.ui.compute import networks
from pages.ui.frame.warnings import without_folders
from pages.ui.recover import runs
from pages.ui.state import session

COLUMNS = [4, 1.1, 1.1, 0.9, 1.1]
HEADS = ("Recovered network", "Accuracy", "File", "", "")
INDENT, BRANCH = "&emsp;", "\N{DOWNWARDS ARROW WITH TIP RIGHTWARDS} "  # markdown drops spaces at the beginning
WORDS = """\
Each was trained from the network above it. Use picks one on all pages; then *By training* trains on from it, and other
settings compress it further."""


def draw() -> None:
    """Draws the tree, or nothing if no network was recovered yet."""
    here = runs.all_recovered()
    if not here:
        return
    st.subheader("Recovered networks", anchor=False)
    for place, head in zip(st.columns(COLUMNS), HEADS, strict=True):
        place.caption(head)
    parent, labels, model = "", networks.labels(), session.now().model
    descent = networks.descents().get(model)
    for depth, each in tree(here, descent.network if descent else model):
        if not depth and each.lineage.parent != parent:
            parent = each.lineage.parent
            st.markdown(f"from **{labels.get(parent, parent)}**")
        _row(depth, each)
    st.caption(WORDS)


def tree(here: Sequence[Recovered], first: str = "") -> Iterator[tuple[int, Recovered]]:
    """Yields each network with its depth: those that come from float networks, each followed by its children.

    Those that come from the network `first` begin.
    """
    names = {each.name for each in here}

    def family(parent: str, depth: int) -> Iterator[tuple[int, Recovered]]:
        for each in here:
            if each.lineage.parent == parent:
                yield depth, each
                yield from family(each.name, depth + 1)

    for root in sorted({each.lineage.parent for each in here} - names, key=lambda root: (root != first, root)):
        yield from family(root, 0)


def _row(depth: int, each: Recovered) -> None:
    name, accuracy, size, use, delete = st.columns(COLUMNS, vertical_alignment="center")
    lineage = each.lineage
    origin = " · comes with the project" if each.is_bundled else ""
    name.markdown(
        f"{INDENT * (depth - 1)}{BRANCH * (depth > 0)}**{title(lineage.spec)}**, {epochs_in_words(lineage.epochs)}"
        f"{f', distilled from {lineage.teacher}' if lineage.teacher else ''}{origin}",
        help=f"`{each.name}`, seed {lineage.recipe.seed}, {wording.duration(lineage.seconds)}; on the command line "
        f"`--model {each.name}`",
    )
    accuracy.markdown("not counted" if lineage.accuracy is None else wording.percent(lineage.accuracy, 2))
    size.markdown(wording.size(each.nbytes))
    is_used = session.now().model == each.name
    if use.button("In use" if is_used else "Use", key=f"pick {each.name}", disabled=is_used, width="stretch"):
        session.change(model=each.name)
        st.rerun()
    if each.is_bundled:
        return
    with delete.popover("Delete", width="stretch"):
        st.markdown("Deletes its file, for everybody on this server. Networks that were trained from it stay.")
        if st.button("Delete it", key=f"delete {each.name}", icon=":material/delete:"):
            _delete(each)


def _delete(each: Recovered) -> None:
    if session.now().model == each.name:
        session.change(model=each.lineage.spec.model)
    try:
        runs.delete(each.name)
    except OSError as error:
        st.warning(f"It cannot be deleted: {without_folders(str(error))}.", icon=":material/error:")
        return
    st.rerun()
