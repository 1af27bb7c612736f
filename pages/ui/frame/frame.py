"""What every page begins and ends with: title, menu, network picker, and state of the data."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import streamlit as st

from compression.errors import DataError
from pages.ui import wording
from pages.ui.compute import accuracy, images, networks
from pages.ui.frame import history_buttons, housekeeping, look
from pages.ui.state import arrival, link, session
from pages.ui.state.link import Rejected

SIDEBAR_PIXELS = 240
MOST_TOASTS = 3
MOST_OF_PARAMETER, MOST_OF_REASON = 40, 160  # characters in a toast
METRICS, WEIGHTS, LAYERS, SECTION, IMPLIED = "metrics", "weights", "layers", "section", "grey"
CURRENT, ACCURACY, SENTENCE, CHART = "current", "accuracy", "sentence", "chart"
LINKS = "links"
# The fragments that a slider redraws, in this order, on a page that does not name others.
ANSWER = (CURRENT, METRICS, LAYERS, WEIGHTS, IMPLIED, ACCURACY, SENTENCE, CHART, LINKS)
MENU = (
    ("app.py", "Explore", ":material/tune:"),
    ("pages/quantization.py", "Quantization", ":material/stairs:"),
    ("pages/pruning.py", "Pruning", ":material/content_cut:"),
    ("pages/layers.py", "Layers", ":material/layers:"),
    ("pages/recover.py", "Recover", ":material/healing:"),
    ("pages/inside.py", "Inside", ":material/troubleshoot:"),
    ("pages/tradeoffs.py", "Trade-offs", ":material/balance:"),
    ("pages/deploy.py", "Deploy", ":material/rocket_launch:"),
    ("pages/networks.py", "Networks", ":material/hub:"),
    ("pages/checkpoint.py", "Bring your own", ":material/upload_file:"),
    ("pages/guide.py", "What the numbers mean", ":material/menu_book:"),
)


def open_page(title: str) -> None:
    """Sets title and layout of the page, obeys its link, and draws the menu. Call it before anything else is drawn."""
    housekeeping.start()
    st.session_state["whole"] = False
    rejected = arrival.arrive(title)
    large = session.now().present
    menu: Any = "collapsed" if large else SIDEBAR_PIXELS
    st.set_page_config(f"{title} · Squeezelab", "🗜️", layout="wide", initial_sidebar_state=menu)
    look.apply(large)
    report_rejected(rejected)
    with st.sidebar:
        st.subheader(":material/compress: Squeezelab", anchor=False)
        _menu()


@st.fragment(key=LINKS)
def _menu() -> None:
    """Draws what changes with every setting: the links of the menu, the buttons of the history, the address."""
    parameters = link.parameters(session.now())
    for path, label, icon in MENU:
        st.page_link(path, label=label, icon=icon, query_params=parameters)
    history_buttons.draw()
    session.show_address()


def close_page(answer: Callable[[], Sequence[str]] = lambda: ANSWER) -> None:
    """Notes that the page is complete: from now on its fragments are known and can be redrawn one by one.

    `answer` returns the fragments that a slider redraws, in their order.
    """
    st.session_state.update(whole=True, answer=answer)


def is_complete() -> bool:
    """Returns whether the page was drawn completely, so that this run only redraws parts of it."""
    return st.session_state["whole"]


def rerun_answer(fragments: Sequence[str] | None = None) -> None:
    """Redraws `fragments` and leaves the rest of the page as it is. A callback for `on_change`.

    The default is the answer, which includes the links of the menu. A click ends the run that is under way; if that
    run had not yet drawn the whole page, the whole page is run again.
    """
    if is_complete():
        st.rerun(fragments or st.session_state["answer"]())


def pick_network() -> str:
    """Draws the network picker and the state of the data in the sidebar; returns the name of the network."""
    with st.sidebar:
        st.selectbox(
            "Network",
            labels := networks.labels(),
            format_func=labels.__getitem__,
            **session.bound("model", session.now().model),
        )
        name = session.now().model
        st.caption("  \n".join(_facts(name)))
    show_data_status(name)
    return name


def _facts(name: str) -> Iterator[str]:
    """Yields the lines below the picker: what the network costs, and how accurate it is before any settings."""
    yield f"{wording.quantity(networks.float_model(name).parameters)} parameters"
    yield f"{wording.quantity(sum(networks.layer_macs(name).values()))} multiply-accumulates per image"
    packed = networks.file_bytes(name)
    if packed:
        yield f"{networks.origin(name)}: its packed file has {wording.size(packed)}"
    own, basis = accuracy.float_accuracy(name)
    if own:
        yield f"{wording.percent(own, 2)} accuracy{'' if packed else ' in float'}, {basis}"
    descent = networks.descents().get(name)
    if descent and descent.network in networks.names():
        before = accuracy.float_accuracy(descent.network)[0]
        if before:
            yield f"{wording.percent(before, 2)} in float, before it was compressed"


def show_data_status(name: str | None = None) -> None:
    """Shows whether there are test images; if not, whether `name` has accuracies that were measured beforehand."""
    with st.sidebar:
        dataset = images.test_images()
        if isinstance(dataset, DataError):
            known = name and accuracy.is_measured(name)
            st.badge("No CIFAR-10", icon=":material/image_not_supported:", color="orange")
            st.caption("Accuracies were measured beforehand." if known else "Accuracies cannot be counted.")
        else:
            words = f"{len(dataset):,} test images, verified"
            st.badge(words, icon=":material/verified:", color="green")


def report_rejected(rejected: Sequence[Rejected]) -> None:
    """Shows which parameters of a link are not used."""
    for each in rejected[:MOST_TOASTS]:
        what = "cannot be used" if each.known else "is not a setting"
        reason = f" {_code(f'{wording.capital(each.reason)}.', MOST_OF_REASON)}" if each.reason else ""
        words = f"{_code(f'{each.key}={each.text}', MOST_OF_PARAMETER)} in the link {what}.{reason}"
        st.toast(words, icon=":material/link_off:", duration="long")


def _code(text: str, most: int) -> str:
    """Returns at most `most` characters of text from outside as code in one line, so that none of it is rendered."""
    return f"`{' '.join(text.replace('`', '').split())[:most]}`"
