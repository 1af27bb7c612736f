"""The model card of a network: facts, layers, and the ranges of its channels."""

import pandas as pd
import streamlit as st

from compression.networks.model import FloatModel
from compression.networks.weights import float_bytes
from pages.ui import wording
from pages.ui.charts import networks as networks_charts
from pages.ui.charts import style
from pages.ui.compute import accuracy, networks
from pages.ui.state import session

HEIGHT = 430
BITS = ["2", "3", "4", "5", "6", "8"]


def facts(name: str, fold: bool) -> None:
    """Shows four metrics, and a sentence on where the network comes from."""
    model = networks.float_model(name)
    cards = networks.layer_cards(name, fold)
    worst = max(cards, key=lambda layer: layer.spread)
    float_accuracy, basis = accuracy.float_accuracy(name)
    macs = sum(layer.macs for layer in cards)
    packed = networks.file_bytes(name)
    as_float = f"{wording.size(float_bytes(model.module))} in float32"
    shown = (
        (
            "Accuracy, compressed" if packed else "Accuracy in float",
            wording.percent(float_accuracy, 2) if float_accuracy else "not known",
            basis,
        ),
        (
            "Parameters",
            wording.quantity(model.parameters),
            f"{wording.size(packed)} packed file" if packed else as_float,
        ),
        ("Multiply-accumulates", wording.quantity(macs), f"one image, {len(cards)} layers"),
        ("Widest spread", wording.times(worst.spread), f"in {worst.name}"),
    )
    for place, (label, value, below) in zip(st.columns(4), shown, strict=True):
        place.metric(label, value, below, delta_color="off", delta_arrow="off", border=True)
    st.caption(origin(model))


def origin(model: FloatModel) -> str:
    """Returns where the weights come from, their licence, and how they were trained, as far as that is known."""
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
    """Shows a table with one row per layer."""
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
                help="The largest |w| of the widest channel, divided by that of the median channel. If it is large, "
                "one scale per tensor is too coarse for most channels.",
            ),
        },
        alt="Layers with kind, shape, weights, multiply-accumulates and spread",
    )


def folding(name: str) -> bool:
    """Shows a switch; returns whether spread and ranges are those of the network with batch norm folded."""
    return st.toggle(
        "Fold batch norm",
        disabled=not networks.has_batch_norm(name),
        help="When a network is deployed, batch norm is folded into the convolution before it. Then the weights of "
        "each channel carry its scale. During training, weight decay keeps the channels alike, and batch norm holds "
        "their scales.",
        **session.bound("card_fold", session.now().card_fold),
    )


def channels(name: str, fold: bool) -> None:
    """Shows a box for each channel of one layer; starts with the layer that has the widest spread."""
    cards = networks.layer_cards(name, fold)
    names = [layer.name for layer in cards]
    worst = max(range(len(cards)), key=lambda i: cards[i].spread)
    where, how = st.columns([1.4, 1], vertical_alignment="bottom")
    now = session.now()
    layer = now.layer if now.layer in names else names[worst]
    where.selectbox("Layer", names, **session.bound("layer", layer))
    bits = int(now.card_bits)
    how.select_slider("Bits, with one scale per tensor", BITS, **session.bound("card_bits", now.card_bits))
    ranges = networks.channel_ranges(name, layer, bits, fold)
    alt = f"The range of the weights of each channel of {layer}"
    st.plotly_chart(networks_charts.channel_ranges(ranges, layer, bits), config=style.CONFIG, key="channels", alt=alt)
    lost, count = sum(ranges.all_zero), len(ranges.all_zero)
    st.caption(
        f"With {bits} bits and one scale per tensor, all weights of **{lost} of {count} channels** become zero. One "
        "scale per channel fits each box."
        if lost
        else f"With {bits} bits and one scale per tensor, every channel keeps some nonzero weights."
    )
