"""`inspect image`: what both networks predict for one image, and where they look."""

import argparse
import time
from typing import Any

from compression.commands.shared.inputs import compressed_network
from compression.commands.shared.json_text import to_json
from compression.core.record import CompressedModel
from compression.data.images import ImageSet, load
from compression.inside.answers import probabilities, top
from compression.inside.saliency import Method, Saliency, explain, rank_correlation
from compression.networks.model import FloatModel


def run(options: argparse.Namespace) -> None:
    """Prints the predictions and the maps of one image."""
    model, compressed = compressed_network(options)
    images = load()
    if not 0 <= options.image < len(images):
        raise ValueError(f"--image must be in 0..{len(images) - 1:,}, got {options.image}")
    image = images[options.image : options.image + 1]
    values = image_values(model, compressed, image, options.image)
    print(to_json(values) if options.json else image_in_words(values))


def image_values(model: FloatModel, compressed: CompressedModel, image: ImageSet, number: int) -> dict[str, Any]:
    """Returns what `inspect image --json` prints: the predictions of both networks and where they look.

    All maps are for the class that the float network predicts.
    """
    modules = {"float": model.module, "compressed": compressed.module}
    each = {name: probabilities(module, image.pixels, model.normalization)[0] for name, module in modules.items()}
    label = int(each["float"].argmax())
    maps = {}
    for method in Method:
        saliencies, seconds = {}, {}
        for name, module in modules.items():
            start = time.perf_counter()
            saliencies[name] = explain(module, image.pixels[0], model.normalization, label, method)
            seconds[name] = time.perf_counter() - start
        maps[method.value] = {
            "rank_correlation": rank_correlation(*(one.values for one in saliencies.values())),
            **{name: _saliency(one, seconds[name]) for name, one in saliencies.items()},
        }
    return {
        "model": compressed.spec.model,
        "spec": compressed.spec.to_json(),
        "image": number,
        "class": image.classes[int(image.labels[0])],
        "explained_class": image.classes[label],
        "class_names": image.classes,
        "probabilities": {name: values.tolist() for name, values in each.items()},
        "maps": maps,
    }


def _saliency(each: Saliency, seconds: float) -> dict[str, Any]:
    return {"seconds": seconds, "logit_change": each.logit_change, "map": each.values.tolist()}


def image_in_words(values: dict[str, Any]) -> str:
    """Returns what `inspect image` prints."""
    names = values["class_names"]
    lines = [f"test image {values['image']}, class {values['class']}"]
    for network, shares in values["probabilities"].items():
        best = ", ".join(f"{names[each.label]} {each.probability:.1%}" for each in top(shares, 3))
        lines.append(f"{network:10} {best}")
    lines.append(f"where both networks look for {values['explained_class']}, by rank correlation of their maps")
    lines += [
        f"{method:20} {_signed(each['rank_correlation'])}, {each['float']['seconds']:.2f} s and "
        f"{each['compressed']['seconds']:.2f} s"
        for method, each in values["maps"].items()
    ]
    return "\n".join(lines)


def _signed(correlation: float | None) -> str:
    return "unknown" if correlation is None else f"{correlation:+.2f}"
