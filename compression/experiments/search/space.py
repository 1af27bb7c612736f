"""The space of a search: bits for each layer, and one sparsity and one scheme for the network; and where it starts.

A choice is a point of that space in the form in which Optuna keeps it: whole numbers by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from compression.experiments.assignment import assign
from compression.experiments.scan import ScanReading
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.networks.weights import weighted_layers
from compression.spec import CompressionSpec, Granularity, LayerSpec, PruneSpec, QuantSpec, Scheme
from compression.spec.grid import grid, prune_specs

BITS = (2, 3, 4, 5, 6, 8)

HUNDREDTHS = range(0, 92, 2)

SPARSITY, SCHEME = "sparsity", "scheme"

SCHEMES = (  # with the average bits per weight to start with: codes have less entropy if there is one scale per tensor
    (Scheme.SYMMETRIC, Granularity.CHANNEL, (3.0, 3.25, 3.5, 3.75, 4.0, 4.25, 4.5, 5.0)),
    (Scheme.AFFINE, Granularity.TENSOR, (4.0, 4.25, 4.5, 4.75, 5.0, 5.25, 5.5, 6.0)),
)

START_HUNDREDTHS = 20  # of sparsity, if no uniform spec meets the goal

STEPS_IN_HUNDREDTHS = (0, -10, 10, -20)  # from the sparsity to start with

RIVAL_GRANULARITIES = (Granularity.CHANNEL, Granularity.TENSOR)

RIVALS = (
    ((Scheme.SYMMETRIC, Scheme.AFFINE), (6, 5, 4, 3), (0.0, 0.3, 0.5, 0.6, 0.7)),
    ((Scheme.K_MEANS,), (4, 3), (0.0, 0.3, 0.5)),
)

Choice = Mapping[str, int]

Recovery = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Space:
    """The space of the network called `model`. `weights` has the number of weights of each layer.

    `fold_bn` says whether the network has batch norm to fold. `recovery`: fields of a CompressionSpec that give
    accuracy back, with their values, for all specs but those of the scan, which compress one layer alone. A choice has
    the bits of each layer under `bits_key`, the sparsity in hundredths under SPARSITY, and an index of SCHEMES under
    SCHEME.
    """

    model: str
    weights: Mapping[str, int]
    fold_bn: bool
    recovery: Recovery = ()

    def spec(self, choice: Choice) -> CompressionSpec:
        """Returns the spec of a choice: the most frequent bits for the network, other bits for their layers."""
        bits = {layer: choice[bits_key(layer)] for layer in self.weights}
        usual = max(sorted(set(bits.values())), key=list(bits.values()).count)
        exceptions = tuple(LayerSpec(layer, each) for layer, each in bits.items() if each != usual)
        prune = PruneSpec(sparsity=choice[SPARSITY] / 100)
        weights = _quant_spec(usual, choice[SCHEME])
        return self._recovered(CompressionSpec(self.model, prune, weights, layers=exceptions, fold_bn=self.fold_bn))

    def _recovered(self, spec: CompressionSpec) -> CompressionSpec:
        """Returns `spec` with the steps of `recovery`; without batch norm folded, nothing can be equalized."""
        steps = dict(self.recovery)
        return replace(spec, **steps | {"equalize": bool(steps.get("equalize")) and spec.folds_first})

    def uniform_choice(self, bits: int, hundredths: int, scheme: int = 0) -> Choice:
        """Returns the choice of the same bits in all layers."""
        return {**{bits_key(layer): bits for layer in self.weights}, SPARSITY: hundredths, SCHEME: scheme}

    @property
    def smallest_specs(self) -> tuple[CompressionSpec, ...]:
        """The specs with the fewest bits and weights, one per scheme; one of them has the smallest file."""
        choices = (self.uniform_choice(BITS[0], HUNDREDTHS[-1], scheme) for scheme in range(len(SCHEMES)))
        return tuple(self.spec(choice) for choice in choices)

    @property
    def rivals(self) -> tuple[CompressionSpec, ...]:
        """The uniform specs that the winner has to beat.

        They have the bits and sparsities at which files are small and networks still work.
        """
        rivals: list[CompressionSpec] = []
        for fold_bn in {False, self.fold_bn}:
            for schemes, bits, sparsities in RIVALS:
                rivals += grid(self.model, bits, prune_specs(sparsities), schemes, RIVAL_GRANULARITIES, fold_bn)[1:]
        return tuple(dict.fromkeys(map(self._recovered, rivals)))

    @property
    def layer_specs(self) -> tuple[tuple[CompressionSpec, ...], ...]:
        """For each of SCHEMES, the specs with which a scan compresses each layer alone."""
        return tuple(
            tuple(CompressionSpec(self.model, weights=_quant_spec(bits, scheme), fold_bn=self.fold_bn) for bits in BITS)
            for scheme in range(len(SCHEMES))
        )

    def seeds(self, scans: Sequence[ScanReading], rival: CompressionSpec | None) -> tuple[Choice, ...]:
        """Returns the choices to try first: bits where `scans` say that they matter, about as sparse as `rival`.

        There is one scan for each of SCHEMES, and all are done. `rival` is the best uniform spec, or None.
        """
        assignments = [
            {**{bits_key(each.name): each.bits or 0 for each in assign(scan, self.weights, budget)}, SCHEME: scheme}
            for scheme, (scan, (_, _, budgets)) in enumerate(zip(scans, SCHEMES, strict=True))
            for budget in budgets
        ]
        start = 2 * round(50 * _sparsity(rival)) if rival else START_HUNDREDTHS
        sparsities = dict.fromkeys(
            min(max(start + step, HUNDREDTHS[0]), HUNDREDTHS[-1]) for step in STEPS_IN_HUNDREDTHS
        )
        choices = [{**bits, SPARSITY: sparsity} for sparsity in sparsities for bits in assignments]
        return tuple(dict(choice) for choice in dict.fromkeys(tuple(sorted(choice.items())) for choice in choices))


def bits_key(layer: str) -> str:
    """Returns the name under which a choice has the bits of `layer`."""
    return f"bits {layer}"


def space_of(model: FloatModel, recovery: Recovery = ()) -> Space:
    """Returns the space of the choices for `model`, all with the steps of `recovery`."""
    weights = {name: weight.numel() for name, weight in weighted_layers(model.module).items()}
    return Space(model.name, weights, fold_batch_norm(model.module) is not model.module, recovery)


def _quant_spec(bits: int, scheme: int) -> QuantSpec:
    return QuantSpec(bits, *SCHEMES[scheme][:2])


def _sparsity(spec: CompressionSpec) -> float:
    return (spec.prune.sparsity or 0.0) if spec.prune else 0.0
