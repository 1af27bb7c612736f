"""One filter as the integers that a processor has of it, and one output pixel worked out in integers alone."""

import streamlit as st

from compression.errors import DataError
from compression.inspect.integers import Integers, Pixel
from pages.ui.charts import cells, show
from pages.ui.compute import compressed, images
from pages.ui.quantization import controls
from pages.ui.quantization.controls import INTEGERS, Side

MOST_CELLS = 16  # of a side of the picture, with a gap after each tile
PRODUCTS_SHOWN = 3


def draw(model: str, side: Side) -> None:
    """The codes of the filter that is shown, and a pixel of what it makes of the first test image."""

    @st.fragment(key=f"{INTEGERS} {side}")
    def fragment() -> None:
        spec = controls.spec(model, side)
        layer, channel = controls.layer(), controls.filter_shown()
        try:
            found = compressed.filter_codes(spec, layer, channel)
        except ValueError as error:
            st.caption(f"{error}.")
            return
        _codes(found, layer, channel, side)
        if isinstance(images.test_images(), DataError):
            st.caption("An output pixel needs CIFAR-10's test images, and there are none here.")
            return
        try:
            _pixel(compressed.pixel(spec, layer, channel), channel)
        except ValueError as error:
            st.caption(f"{error}.")

    fragment()


def _codes(found: Integers, layer: str, channel: int, side: Side) -> None:
    tiles, shown = _tiles(found)
    most = int((found.codes - found.zero_point).abs().max()) or 1
    alt = f"Integer codes of filter {channel} of {layer}, {side}"
    show.chart(cells.codes(tiles, found.zero_point, most, show.ink()), f"codes {side}", alt)
    channels = len(found.codes)
    st.caption(
        f"Filter {channel}, {f'{shown} of ' if shown < channels else ''}{channels} input channels. "
        f"A weight is its code less the zero point {found.zero_point}, times the scale {found.scale:.5g}."
    )


def _tiles(found: Integers) -> tuple[list[list[int | None]], int]:
    """Codes (C_in, kH, kW) or (C_in,) -> a grid of as many tiles as can be read, None between them; and how many."""
    tiles = found.codes.reshape(len(found.codes), *found.codes.shape[1:] or (1, 1)).tolist()
    height, width = len(tiles[0]), len(tiles[0][0])
    across, down = max(1, MOST_CELLS // (width + 1)), max(1, MOST_CELLS // (height + 1))
    tiles = tiles[: across * down]
    blank: list[list[int | None]] = [[None] * width] * height
    grid: list[list[int | None]] = []
    for first in range(0, len(tiles), across):
        row = (tiles[first : first + across] + [blank] * across)[:across]
        grid += [[code for tile in row for code in (*tile[y], None)] for y in range(height)] + [
            [None] * across * (width + 1)
        ]
    return grid, len(tiles)


def _pixel(pixel: Pixel, channel: int) -> None:
    """Each step from products to the output's code, and the same output in floats."""
    m, n = pixel.multiplier, pixel.weights.codes.numel()
    first = zip(pixel.weights.codes.flatten().tolist(), pixel.inputs.codes.flatten().tolist(), strict=True)
    products = " + ".join(rf"{w} \cdot {x}" for (w, x), _ in zip(first, range(PRODUCTS_SHOWN), strict=False))
    real = pixel.accumulator * pixel.accumulator_scale
    steps = (
        (f"{n:,} products", rf"\sum q_w q_x = {products} + \dots", pixel.product_sum),
        ("zero point of the inputs", rf"-z_x \sum q_w,\; z_x = {pixel.inputs.zero_point}", -pixel.input_correction),
        ("zero point of the weights", rf"-z_w \sum q_x,\; z_w = {pixel.weights.zero_point}", -pixel.weight_correction),
        ("both", "+n z_w z_x", pixel.constant),
        ("**accumulator**, int32", rf"\text{{their sum}};\; s_w s_x \cdot \text{{it}} = {real:.4f}", pixel.accumulator),
        ("bias, int32", r"b / (s_w s_x)", pixel.bias),
        (
            "requantized",
            rf"M \approx {m.mantissa} \cdot 2^{{{-31 - m.shift}}}",
            m.times(pixel.accumulator + pixel.bias),
        ),
        ("**output code**, 0 to 255", f"+z_y = {pixel.output_zero_point}", pixel.code),
    )
    rows = [f"| {name} | ${how}$ | {number:,} |" for name, how, number in steps]
    st.markdown("\n".join(["| one output pixel | how | integer |", "|---|---|--:|", *rows]))
    same = abs(pixel.difference) <= pixel.output_scale
    st.badge(
        f"integers {pixel.value:.4f}, floats {pixel.expected:.4f}: "
        + ("the same but for rounding" if same else "not the same"),
        icon=":material/verified:" if same else ":material/error:",
        color="green" if same else "orange",
    )
    st.caption(
        f"Filter {channel} in the middle of the first test image. The inputs are 8-bit affine; one step of the output "
        f"is {pixel.output_scale:.4f}. Floats: the same weights and inputs, multiplied as rounded numbers in float64."
    )
