"""A short program that makes a compressed network again and counts what it gets right."""

from compression.spec import CompressionSpec

SCRIPT = '''\
"""Makes this network again with Squeezelab and prints its accuracy. It lies in the folder that holds `compression`."""

from compression.core.compress import compress
from compression.data.images import load as load_images
from compression.evaluation.evaluation import evaluate
from compression.networks.library import load as load_network
from compression.spec.recipe import from_json
from compression.core.training_evidence import evidence_for

RECIPE = {recipe}

spec = from_json(RECIPE)
model = load_network(spec.model)
compressed = compress(model.module, spec, evidence_for(model, spec))
found = evaluate(compressed.module, load_images(), model.normalization)
print(f"{{found.correct:,}} of {{found.total:,}} test images right: {{found.accuracy:.2%}}")
'''


def script(spec: CompressionSpec) -> str:
    """It holds the recipe. The network is one that `python -m compression models` lists as here."""
    return SCRIPT.format(recipe=repr(spec.to_json()))
