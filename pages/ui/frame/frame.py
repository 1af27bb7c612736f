"""What every page begins and ends with: title, menu, network picker, state of the data, and values of the link."""

from collections.abc import Callable, Sequence

import streamlit as st

from compression.errors import DataError
from compression.paths import PROJECT
from pages.ui import wording
from pages.ui.compute import accuracy, images, networks

SIDEBAR_PIXELS = 240
MOST_TOASTS = 3
START = "resnet20"
METRICS, WEIGHTS, LAYERS, IMPLIED = "metrics", "weights", "layers", "grey"
ACCURACY, SENTENCE, CHART = "accuracy", "sentence", "chart"
LINKS = "links"
# The fragments that a slider redraws, in this order.
ANSWER = (METRICS, WEIGHTS, LAYERS, IMPLIED, ACCURACY, SENTENCE, CHART, LINKS)
MENU = (
    ("app.py", "Explore", ":material/tune:"),
    ("pages/quantization.py", "Quantization", ":material/stairs:"),
    ("pages/pruning.py", "Pruning", ":material/content_cut:"),
    ("pages/layers.py", "Layers", ":material/layers:"),
    ("pages/tradeoffs.py", "Trade-offs", ":material/balance:"),
    ("pages/deploy.py", "Deploy", ":material/rocket_launch:"),
    ("pages/networks.py", "Networks", ":material/hub:"),
    ("pages/checkpoint.py", "Bring your own", ":material/upload_file:"),
    ("pages/guide.py", "What the numbers mean", ":material/menu_book:"),
)
LINKED = (
    *("model", "bits", "scheme", "clip", "granularity", "fold"),
    *("step", "group", "only", "ends", "percentile_at", "stds_at", "means_at"),
    *("inputs", "calibration", "order", "merge"),
    *("by", "sparsity", "threshold", "scope", "layer", "chart", "layers"),
    *("channel", "left_scheme", "left_clip", "left_granularity", "right_scheme", "right_clip", "right_granularity"),
    *("structure", "criterion", "unit", "reestimate", "rival"),
    "threads",
    *("drop", "bytes", "pins"),
)
# Values that older links have, and what the same choice is called now.
RENAMED_VALUES = {"chart": {"in all": "Overall", "by class": "Per class", "confusion": "Confusion"}}


def open_page(title: str) -> None:
    """Sets title and layout of the page, and draws the menu. Call it before anything else is drawn."""
    st.set_page_config(f"{title} · Squeezelab", "🗜️", layout="wide", initial_sidebar_state=SIDEBAR_PIXELS)
    st.session_state["whole"] = False
    if st.session_state.get("page") != title:
        st.session_state.update(page=title, arriving=True)
    with st.sidebar:
        st.subheader(":material/compress: Squeezelab", anchor=False)
        _menu()


@st.fragment(key=LINKS)
def _menu() -> None:
    settings = link_parameters()
    for path, label, icon in MENU:
        st.page_link(path, label=label, icon=icon, query_params=settings)


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


def link_parameters() -> dict[str, str | list[str]]:
    """Returns the parameters of a link to another page, which opens with the settings of this one."""
    values = {key: st.session_state[key] for key in LINKED if key in st.session_state}
    present = {key: st.query_params.get_all(key) for key in st.query_params}
    return present | {key: _as_in_link(value) for key, value in values.items()}


def _as_in_link(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def pick_network() -> str:
    """Draws the network picker and the state of the data in the sidebar; returns the name of the network."""
    with st.sidebar:
        names = networks.names()
        start = names.index(START)
        name = pick_from(names, lambda: st.selectbox("Network", names, start, key="model", bind="query-params"))
        parameters = wording.quantity(networks.float_model(name).parameters)
        float_accuracy, origin = accuracy.float_accuracy(name)
        st.caption(
            f"{parameters} parameters  \n"
            f"{wording.quantity(sum(networks.layer_macs(name).values()))} multiply-accumulates per image  \n"
            + (f"{wording.percent(float_accuracy, 2)} accuracy in float, {origin}" if float_accuracy else "")
        )
    show_data_status(name)
    return name


def pick_from(names: Sequence[str], picker: Callable[[], str]) -> str:
    """Draws `picker` and returns the name that it selects, one of `names`.

    On arrival at a page that is the name in the link, or else the name that was picked before. Streamlit cannot do
    this: it drops from the link what a widget of the previous page has put there, and a browser that leaves a page
    before it is complete keeps the values of widgets for too long.
    """
    if st.session_state["arriving"]:
        name = st.query_params.get("model", st.session_state.get("picked"))
        if name in names:
            st.session_state["model"] = name
        st.session_state["arriving"] = False
    st.session_state["picked"] = name = picker()
    return name


def is_arriving() -> bool:
    """Returns whether the reader has just come from another page or by a link. Call it before `pick_network`."""
    return st.session_state["arriving"]


def show_data_status(name: str | None = None) -> None:
    """Shows whether there are test images; if not, whether `name` has accuracies that were measured beforehand."""
    with st.sidebar:
        dataset = images.test_images()
        if isinstance(dataset, DataError):
            source = "measured beforehand" if name and accuracy.is_measured(name) else "no accuracy"
            st.badge(f"No CIFAR-10: {source}", icon=":material/image_not_supported:", color="orange")
        else:
            st.badge(f"{len(dataset):,} test images, verified", icon=":material/verified:", color="green")
            st.caption(f"CIFAR-10 from {dataset.source.replace(str(PROJECT.parent), '..')}")


def opening_link() -> dict[str, str]:
    """Returns the parameters of the link that opened this browser session; empty after the first run.

    Values that have another name in older links are renamed: the session's state gets the present name, which is
    what a widget takes if its value in the link is none of its options.
    """
    if "opened" in st.session_state:
        return {}
    st.session_state["opened"] = True
    link = st.query_params.to_dict()
    renamed = {key: names[link[key]] for key, names in RENAMED_VALUES.items() if link.get(key) in names}
    st.session_state.update(renamed)
    return link | renamed


def report_rejected(link: dict[str, str]) -> None:
    """Shows which values of the link have no meaning here. Call it after all widgets are drawn."""
    wrong = {key: value for key, value in link.items() if not _same(value, st.session_state.get(key))}
    for key, value in list(wrong.items())[:MOST_TOASTS]:
        shown = st.session_state.get(key)
        what = "has no effect here" if shown is None else f"is not possible here. The page shows {shown}"
        if key == "model":
            what += (
                ". A public network must be downloaded first; an uploaded one stays with the session that uploaded it"
            )
        st.toast(f"The link says {_code(f'{key}={value}')}, which {what}.", icon=":material/link_off:", duration="long")


def _code(text: str) -> str:
    """Returns text from outside as code, so that it is shown and not rendered."""
    return f"`{text.replace('`', '')[:40]}`"


def _same(text: str, value: object) -> bool:
    if isinstance(value, list):  # a link that has a key several times yields only the last value
        return any(_same(text, each) for each in value)
    try:
        return float(text) == float(str(value))
    except ValueError:
        return text.lower() == str(value).lower()
