"""The integer codes of one filter, and one output pixel computed in integers alone."""

import streamlit as st

from compression.errors import DataError
from compression.inspect.integers import Integers, Pixel
from pages.ui import wording
from pages.ui.charts import cells, show
from pages.ui.compute import compressed, images
from pages.ui.quantization import controls
from pages.ui.quantization.controls import INTEGERS, Side

MOST_CELLS = 16  # cells per side of the picture, with a gap after each tile
PRODUCTS_SHOWN = 3


def draw(model: str, side: Side) -> None:
    """Shows the codes of the selected filter, and one pixel of its output for the first test image."""

    @st.fragment(key=f"{INTEGERS} {side}")
    def fragment() -> None:
        spec = controls.spec(model, side)
        layer, channel = controls.layer(model), controls.filter_shown(model)
        try:
            codes = compressed.filter_codes(spec, layer, channel)
        except ValueError as error:
            st.caption(f"{wording.capital(str(error))}.")
            return
        _codes(codes, layer, channel, side)
        if isinstance(images.test_images(), DataError):
            st.caption("The output pixel needs the test images of CIFAR-10, and there are none here.")
            return
        try:
            _pixel(compressed.pixel(spec, layer, channel), channel)
        except ValueError as error:
            st.caption(f"{wording.capital(str(error))}.")

    fragment()


def _codes(filter_codes: Integers, layer: str, channel: int, side: Side) -> None:
    tiles, shown = _tiles(filter_codes)
    most = int((filter_codes.codes - filter_codes.zero_point).abs().max()) or 1
    alt = f"Integer codes of filter {channel} of {layer}, {side}"
    show.chart(cells.codes(tiles, filter_codes.zero_point, most, show.ink()), f"codes {side}", alt)
    channels = len(filter_codes.codes)
    st.caption(
        f"Filter {channel}, {f'{shown} of ' if shown < channels else ''}{channels} input channels. A weight is its "
        f"code minus the zero point {filter_codes.zero_point}, times the scale {filter_codes.scale:.5g}."
    )


def _tiles(integers: Integers) -> tuple[list[list[int | None]], int]:
    """Codes (C_in, kH, kW) or (C_in,) -> a grid of the tiles that fit, None between them; and how many fit."""
    tiles = integers.codes.reshape(len(integers.codes), *integers.codes.shape[1:] or (1, 1)).tolist()
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
    """Shows each step from the products to the output code, and the same output in floating point."""
    m, n = pixel.multiplier, pixel.weights.codes.numel()
    first = zip(pixel.weights.codes.flatten().tolist(), pixel.inputs.codes.flatten().tolist(), strict=True)
    products = " + ".join(rf"{w} \cdot {x}" for (w, x), _ in zip(first, range(PRODUCTS_SHOWN), strict=False))
    real = pixel.accumulator * pixel.accumulator_scale
    steps = (
        (f"{n:,} products", rf"\sum q_w q_x = {products} + \dots", pixel.product_sum),
        ("zero point of the inputs", rf"-z_x \sum q_w,\; z_x = {pixel.inputs.zero_point}", -pixel.input_correction),
        ("zero point of the weights", rf"-z_w \sum q_x,\; z_w = {pixel.weights.zero_point}", -pixel.weight_correction),
        ("both zero points", "+n z_w z_x", pixel.constant),
        (
            "**accumulator**, int32",
            rf"\text{{sum of these}};\; \text{{times }} s_w s_x = {real:.4f}",
            pixel.accumulator,
        ),
        ("bias, int32", r"b / (s_w s_x)", pixel.bias),
        (
            "requantized",
            rf"M \approx {m.mantissa} \cdot 2^{{{-31 - m.shift}}}",
            m.times(pixel.accumulator + pixel.bias),
        ),
        ("**output code**, 0 to 255", f"+z_y = {pixel.output_zero_point}", pixel.code),
    )
    rows = [f"| {name} | ${how}$ | {number:,} |" for name, how, number in steps]
    st.markdown("\n".join(["| one output pixel | formula | integer |", "|---|---|--:|", *rows]))
    same = abs(pixel.difference) <= pixel.output_scale
    st.badge(
        f"integers {pixel.value:.4f}, floating point {pixel.expected:.4f}: "
        + ("equal up to rounding" if same else "not equal"),
        icon=":material/verified:" if same else ":material/error:",
        color="green" if same else "orange",
    )
    st.caption(
        f"Filter {channel} in the middle of the first test image. Inputs are quantized affinely to 8 bits; one step of "
        f"the output is {pixel.output_scale:.4f}. Floating point: the same quantized weights and inputs, multiplied in "
        "float64."
    )
