"""One image in the float network and in a compressed one: predictions, saliency maps, outputs of layers."""

from dataclasses import dataclass
from typing import Any

from compression.inside import layers
from compression.inside.answers import Answer, probabilities, top
from compression.inside.own_image import MIDDLE, Crop, read_image
from compression.inside.pictures import map_to_pixels, to_data_uri
from compression.inside.saliency import MapPair, Method, explain_both
from compression.spec import CompressionSpec
from pages.ui.compute import compressed, images, networks
from pages.ui.compute.caching import shared

BEST = 3  # classes that are shown


@dataclass(frozen=True)
class Picture:
    """The image that is looked at: the test image `number`, or the `content` of the reader's file and its crop."""

    number: int = 0
    content: bytes | None = None
    crop: Crop = MIDDLE

    @property
    def name(self) -> str:
        """What the image is called, with its class if that is known."""
        if self.content is not None:
            return "Your image"
        dataset = images.load_once()
        return f"Test image {self.number}, a picture of class {dataset.classes[int(dataset.labels[self.number])]}"


@dataclass(frozen=True, eq=False)
class ImageReport:
    """What both networks see in one image: their most probable classes, and the maps for the first class of float."""

    picture: str
    before: tuple[Answer, ...]
    after: tuple[Answer, ...]
    maps: MapPair

    @property
    def pictures(self) -> tuple[str, str]:
        """Both maps on one colour scale, as addresses of PNG files."""
        first, second = (
            to_data_uri(map_to_pixels(each.values, self.maps.most)) for each in (self.maps.before, self.maps.after)
        )
        return first, second


@dataclass(frozen=True)
class ActivationReport:
    """The outputs of one layer for one image as addresses of PNG files, on one colour scale that ends at `most`.

    The pictures are those of the float network, of the compressed one, and their difference; each has the channels
    row by row, `shown` of `channels`.
    """

    pictures: tuple[str, str, str]
    most: float
    shown: int
    channels: int
    sqnr_db: float


def report(spec: CompressionSpec, picture: Picture, method: Method) -> ImageReport:
    """Returns what both networks see. Raises DataError for a damaged file, ValueError if the method does not fit."""
    if picture.content is None:
        return _report_test_image(spec, picture.number, method)
    return _report(spec, _pixels(spec, picture), method)


@shared(128)
def _report_test_image(spec: CompressionSpec, number: int, method: Method) -> ImageReport:
    return _report(spec, images.load_once().pixels[number], method)


def _pixels(spec: CompressionSpec, picture: Picture) -> Any:
    """Returns the pixels that the network of `spec` sees. The reader's file is not kept. Raises DataError."""
    if picture.content is None:
        return images.load_once().pixels[picture.number]
    _, height, width = networks.float_model(spec.model).input_shape
    return read_image(picture.content, height, width, picture.crop)


def _report(spec: CompressionSpec, pixels: Any, method: Method) -> ImageReport:
    model, after = networks.float_model(spec.model), compressed.model(spec).module
    before, small = (
        top(probabilities(module, pixels[None], model.normalization)[0].tolist(), BEST)
        for module in (model.module, after)
    )
    maps = explain_both(model.module, after, pixels, model.normalization, before[0].label, method)
    return ImageReport(to_data_uri(pixels), before, small, maps)


def layer_names(spec: CompressionSpec) -> tuple[str, ...]:
    """Returns the names of the layers of a network."""
    return layers.layer_names(networks.float_model(spec.model).module)


def activations(spec: CompressionSpec, picture: Picture, layer: str) -> ActivationReport:
    """Returns the outputs of `layer` for one image. Raises DataError for a damaged file."""
    pixels = _pixels(spec, picture)
    inputs = networks.float_model(spec.model).normalization(pixels[None])
    both = layers.activations(layers.NetworkPair.of(compressed.model(spec)), layer, inputs)
    before, after, difference = (
        to_data_uri(map_to_pixels(layers.mosaic(each), both.most))
        for each in (both.before, both.after, both.after - both.before)
    )
    channels = len(both.before)
    return ActivationReport(
        (before, after, difference), both.most, min(channels, layers.MOST_CHANNELS), channels, both.sqnr_db
    )
