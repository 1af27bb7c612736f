"""Where a search looks: bits for each layer; one sparsity and one scheme for the network. And where it begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compression.experiments.assignment import assigned
from compression.experiments.scan import ScanReading
from compression.networks.folding import fold_batch_norm
from compression.networks.model import FloatModel
from compression.networks.weights import weighted_layers
from compression.spec import CompressionSpec, Granularity, LayerSpec, PruneSpec, QuantSpec, Scheme
from compression.spec.grid import grid, prune_specs

BITS = (2, 3, 4, 5, 6, 8)

HUNDREDTHS = range(0, 92, 2)

SPARSITY, SCHEME = "sparsity", "scheme"

SCHEMES = (  # and bits a weight, on average, to begin with: codes with one scale for a tensor have less entropy
    (Scheme.SYMMETRIC, Granularity.CHANNEL, (3.0, 3.25, 3.5, 3.75, 4.0, 4.25, 4.5, 5.0)),
    (Scheme.AFFINE, Granularity.TENSOR, (4.0, 4.25, 4.5, 4.75, 5.0, 5.25, 5.5, 6.0)),
)

USUAL, AROUND = 20, (0, -10, 10, -20)  # hundredths: where nothing says more, and steps from where something does

RIVAL_GRANULARITIES = (Granularity.CHANNEL, Granularity.TENSOR)

RIVALS = (
    ((Scheme.SYMMETRIC, Scheme.AFFINE), (6, 5, 4, 3), (0.0, 0.3, 0.5, 0.6, 0.7)),
    ((Scheme.K_MEANS,), (4, 3), (0.0, 0.3, 0.5)),
)

Point = Mapping[str, int]


@dataclass(frozen=True)
class Space:
    """Of a network with so many `weights` by layer. Batch norm is folded where there is any (`fold_bn`).

    A point has the bits of each layer, under "bits " and its name, hundredths of sparsity, and a number in SCHEMES.
    """

    model: str
    weights: Mapping[str, int]
    fold_bn: bool

    def spec(self, point: Point) -> CompressionSpec:
        """What the point stands for. The most frequent bits are said of the network, and others of their layers."""
        bits = {layer: point[key(layer)] for layer in self.weights}
        usual = max(sorted(set(bits.values())), key=list(bits.values()).count)
        own = tuple(LayerSpec(layer, each) for layer, each in bits.items() if each != usual)
        prune = PruneSpec(sparsity=point[SPARSITY] / 100)
        return CompressionSpec(self.model, prune, _weights(usual, point[SCHEME]), layers=own, fold_bn=self.fold_bn)

    def uniform(self, bits: int, hundredths: int, scheme: int = 0) -> Point:
        """The same bits in all layers."""
        return {**{key(layer): bits for layer in self.weights}, SPARSITY: hundredths, SCHEME: scheme}

    @property
    def smallest(self) -> tuple[CompressionSpec, ...]:
        """Among these is that of the smallest file; as good as nothing is left."""
        return tuple(self.spec(self.uniform(BITS[0], HUNDREDTHS[-1], scheme)) for scheme in range(len(SCHEMES)))

    @property
    def rivals(self) -> tuple[CompressionSpec, ...]:
        """Specs with one setting for all layers, of the bits and sparsities at which files are small and networks not
        yet ruined; the winner has to be better than all of them.
        """
        found: list[CompressionSpec] = []
        for fold_bn in {False, self.fold_bn}:
            for schemes, bits, shares in RIVALS:
                found += grid(self.model, bits, prune_specs(shares), schemes, RIVAL_GRANULARITIES, fold_bn)[1:]
        return tuple(dict.fromkeys(found))

    @property
    def alone(self) -> tuple[tuple[CompressionSpec, ...], ...]:
        """For each of SCHEMES, what a scan does to each layer alone."""
        return tuple(
            tuple(CompressionSpec(self.model, weights=_weights(bits, scheme), fold_bn=self.fold_bn) for bits in BITS)
            for scheme in range(len(SCHEMES))
        )

    def seeds(self, scans: Sequence[ScanReading], rival: CompressionSpec | None) -> tuple[Point, ...]:
        """Where to begin: where `scans`, one for each of SCHEMES and all whole, say that bits matter, about as sparse
        as the best `rival` is.
        """
        shared = [
            {**{key(each.name): each.bits or 0 for each in assigned(scan, self.weights, budget)}, SCHEME: scheme}
            for scheme, (scan, (_, _, budgets)) in enumerate(zip(scans, SCHEMES, strict=True))
            for budget in budgets
        ]
        best = 2 * round(50 * (rival.prune.sparsity or 0.0 if rival.prune else 0.0)) if rival else USUAL
        shares = dict.fromkeys(min(max(best + step, HUNDREDTHS[0]), HUNDREDTHS[-1]) for step in AROUND)
        found = [{**point, SPARSITY: share} for share in shares for point in shared]
        return tuple(dict(point) for point in dict.fromkeys(tuple(sorted(point.items())) for point in found))


def _weights(bits: int, scheme: int) -> QuantSpec:
    return QuantSpec(bits, *SCHEMES[scheme][:2])


def key(layer: str) -> str:
    return f"bits {layer}"


def space_of(model: FloatModel) -> Space:
    weights = {name: weight.numel() for name, weight in weighted_layers(model.module).items()}
    return Space(model.name, weights, fold_batch_norm(model.module) is not model.module)
