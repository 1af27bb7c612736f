"""The spec that the settings of this session select, for the pages that show one compressed network."""

from dataclasses import replace

from compression.spec import CompressionSpec, Structure
from pages.ui.compute import networks
from pages.ui.state import session, specs
from pages.ui.state.value import Settings

TWO_OF_FOUR = "2:4"
STRUCTURES = (str(Structure.WEIGHT), TWO_OF_FOUR, str(Structure.FILTER))


def settings(model: str) -> Settings:
    """Returns the settings as they take effect: where the network has no batch norm, none is folded."""
    now = replace(session.now(), model=model)
    if (now.fold or now.reestimate) and not networks.has_batch_norm(model):
        now = replace(now, fold=False, reestimate=False)
    return specs.fitting(now)


def spec(model: str, target: float | None = None) -> CompressionSpec:
    """Returns the spec that the settings select. `target`, where given, replaces the sparsity or the threshold."""
    return specs.spec_of(settings(model), target)


def layer(model: str) -> str | None:
    """Returns the layer whose weights are shown, or None for the whole network."""
    name = session.now().layer
    return name if name in networks.layer_macs(model) else None
