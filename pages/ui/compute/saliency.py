"""One image in the float network and in a compressed one: predictions, saliency maps, outputs of layers."""

from dataclasses import dataclass
from typing import Any

from compression.inside import layers
from compression.inside.answers import Answer, probabilities, top
from compression.inside.calls import map_call
from compression.inside.inspector import InspectionReading
from compression.inside.own_image import MIDDLE, Crop, read_image
from compression.inside.pictures import map_to_pixels, to_data_uri
from compression.inside.saliency import MapPair, Method, explain_prediction
from compression.spec import CompressionSpec
from pages.ui.compute import compressed, images, inside, networks

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
class Predictions:
    """The most probable classes of one image in both networks, and the image as the address of a PNG file."""

    picture: str
    before: tuple[Answer, ...]
    after: tuple[Answer, ...]


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


def predictions(spec: CompressionSpec, picture: Picture) -> Predictions:
    """Returns what both networks predict. Raises DataError for a damaged file."""
    pixels = _pixels(spec, picture)
    model, after = networks.float_model(spec.model), compressed.model(spec).module
    before, small = (
        top(probabilities(module, pixels[None], model.normalization)[0].tolist(), BEST)
        for module in (model.module, after)
    )
    return Predictions(to_data_uri(pixels), before, small)


def maps(spec: CompressionSpec, picture: Picture, method: Method) -> InspectionReading:
    """Returns the MapPair of both networks for the class that float predicts, in `results`, and goes on with it.

    Grad-CAM is computed at once, and all other maps by workers. Raises DataError and, for Grad-CAM, ValueError.
    """
    model, pixels = networks.float_model(spec.model), _pixels(spec, picture)
    if method is Method.GRAD_CAM:
        return InspectionReading((explain_prediction(model, compressed.model(spec).module, pixels, method),))
    ready = compressed.model(spec).module if spec.takes_seconds else None
    return inside.inspector().look([map_call(model, spec, pixels, method, ready)])


def map_pictures(pair: MapPair) -> tuple[str, str]:
    """Returns both maps on one colour scale, as addresses of PNG files."""
    first, second = (to_data_uri(map_to_pixels(each.values, pair.most)) for each in (pair.before, pair.after))
    return first, second


def _pixels(spec: CompressionSpec, picture: Picture) -> Any:
    """Returns the pixels that the network of `spec` sees. The reader's file is not kept. Raises DataError."""
    if picture.content is None:
        return images.load_once().pixels[picture.number]
    _, height, width = networks.float_model(spec.model).input_shape
    return read_image(picture.content, height, width, picture.crop)


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
