"""Predictions and saliency maps of one image, by the float network and by a compressed one."""

from dataclasses import dataclass
from typing import Any

from compression.errors import DataError
from compression.inside.answers import Answer, probabilities, top
from compression.inside.own_image import read_image
from compression.inside.pictures import map_to_pixels, to_data_uri
from compression.inside.saliency import MapPair, Method, explain_both
from compression.spec import CompressionSpec
from pages.ui.compute import compressed, images, networks
from pages.ui.compute.caching import shared

BEST = 3  # classes that are shown


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


@shared(128)
def of_test_image(spec: CompressionSpec, number: int, method: Method) -> ImageReport:
    """Returns the report of the test image with this number. Raises ValueError if the method does not fit."""
    return _report(spec, images.load_once().pixels[number], method)


def of_own_image(spec: CompressionSpec, content: bytes, method: Method) -> ImageReport | DataError:
    """Returns the report of the reader's image file, which is not kept, or why it cannot be read."""
    _, height, width = networks.float_model(spec.model).input_shape
    try:
        return _report(spec, read_image(content, height, width), method)
    except DataError as error:
        return error


def true_class(number: int) -> str:
    """Returns the name of the class of a test image."""
    dataset = images.load_once()
    return dataset.classes[int(dataset.labels[number])]


def _report(spec: CompressionSpec, pixels: Any, method: Method) -> ImageReport:
    model, after = networks.float_model(spec.model), compressed.model(spec).module
    before, small = (
        top(probabilities(module, pixels[None], model.normalization)[0].tolist(), BEST)
        for module in (model.module, after)
    )
    maps = explain_both(model.module, after, pixels, model.normalization, before[0].label, method)
    return ImageReport(to_data_uri(pixels), before, small, maps)
