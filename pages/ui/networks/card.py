"""The model card of a network: facts, layers, and the ranges of its channels."""

import pandas as pd
import streamlit as st

from compression.networks.model import FloatModel
from pages.ui import wording
from pages.ui.charts import networks as networks_charts
from pages.ui.charts import style
from pages.ui.compute import accuracy, networks

HEIGHT = 430
BITS = ["2", "3", "4", "5", "6", "8"]


def facts(name: str, fold: bool) -> None:
    """Four metrics, and a line on where the network comes from."""
    model = networks.float_model(name)
    cards = networks.layer_cards(name, fold)
    worst = max(cards, key=lambda layer: layer.spread)
    float_accuracy, basis = accuracy.float_accuracy(name)
    macs = sum(layer.macs for layer in cards)
    shown = (
        (
            "Accuracy as float",
            wording.percent(float_accuracy, 2) if float_accuracy else "not known",
            basis,
        ),
        ("Parameters", wording.quantity(model.parameters), f"{wording.size(4 * model.parameters)} as float32"),
        ("Multiply-accumulates", wording.quantity(macs), f"one image, {len(cards)} layers"),
        ("Widest spread", wording.times(worst.spread), f"in {worst.name}"),
    )
    for place, (label, value, below) in zip(st.columns(4), shown, strict=True):
        place.metric(label, value, below, delta_color="off", delta_arrow="off", border=True)
    st.caption(origin(model))


def origin(model: FloatModel) -> str:
    """Where the weights come from, under which licence, and how they were trained, as far as it is known."""
    about = model.about
    here = f"trained here on {about.get('trained_on', '').partition(', fingerprint')[0]}"
    words = [about.get("origin", here)]
    words += [f"licence: {about['licence']}"] if "licence" in about else []
    words += [about["recognised"]] if "recognised" in about else []
    if recipe := about.get("recipe"):
        words.append(
            f"{recipe['epochs']} epochs of SGD with Nesterov momentum {recipe['momentum']}, batches of "
            f"{recipe['batch_size']}, peak learning rate {recipe['max_lr']} in one cycle, weight decay "
            f"{recipe['weight_decay']}, label smoothing {recipe['label_smoothing']}, crops of up to "
            f"{recipe['crop_pad_pixels']} pixels and flips, weights averaged; seed {recipe['seed']}"
        )
    words.append(f"normalisation “{model.normalization.name}”")
    return ". ".join(wording.capital(word) for word in words) + "."


def layers(name: str, fold: bool) -> None:
    """One row a layer."""
    cards = networks.layer_cards(name, fold)
    rows = pd.DataFrame(
        {
            "Layer": [layer.name for layer in cards],
            "Kind": [layer.kind for layer in cards],
            "Shape": [wording.TIMES.join(str(size) for size in layer.shape) for layer in cards],
            "Weights": [layer.weights for layer in cards],
            "MACs": [layer.macs for layer in cards],
            "Spread": [layer.spread for layer in cards],
        }
    )
    st.dataframe(
        rows,
        hide_index=True,
        height=HEIGHT,
        column_config={
            "Weights": st.column_config.NumberColumn(format="localized"),
            "MACs": st.column_config.NumberColumn(format="compact", help="Multiply-accumulates for one image"),
            "Spread": st.column_config.NumberColumn(
                format=f"%.1f{wording.TIMES}",
                help="The largest |w| of the widest channel over that of the median channel. Where it is large, one "
                "scale for the whole tensor is too coarse for most channels.",
            ),
        },
        alt="Layers with kind, shape, weights, multiply-accumulates and spread",
    )


def folding(name: str) -> bool:
    """Whether spread and ranges are those with batch norm folded in, as where networks are deployed."""
    return st.toggle(
        "Batch norm folded in",
        value=True,
        key="card_fold",
        disabled=not networks.has_batch_norm(name),
        help="Where networks are deployed, batch norm goes into the convolution before it. Then each channel's weights "
        "carry its scale. In training, weight decay keeps the channels alike and batch norm holds their scales.",
    )


def channels(name: str, fold: bool) -> None:
    """A box for each channel of one layer, the widest spread one at first."""
    cards = networks.layer_cards(name, fold)
    names = [layer.name for layer in cards]
    worst = max(range(len(cards)), key=lambda i: cards[i].spread)
    where, how = st.columns([1.4, 1], vertical_alignment="bottom")
    layer = where.selectbox("Layer", names, index=worst, key=f"channels of {name}")
    bits = int(how.select_slider("Bits of one shared scale", BITS, value="4", key="card_bits"))
    ranges = networks.channel_ranges(name, layer, bits, fold)
    alt = f"The range of the weights of each channel of {layer}"
    st.plotly_chart(networks_charts.channel_ranges(ranges, layer, bits), config=style.CONFIG, key="channels", alt=alt)
    lost, all_of_them = sum(ranges.all_zero), len(ranges.all_zero)
    st.caption(
        f"With one {bits}-bit scale for the whole tensor, **{lost} of {all_of_them} channels** would be zero "
        "altogether. A scale for each channel fits each box."
        if lost
        else f"With one {bits}-bit scale for the whole tensor, every channel keeps some weights that are not zero."
    )
