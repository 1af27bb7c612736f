"""What pruning removes: scores, cuts, and the weights that remain."""

from compression.core.training_evidence import evidence_for
from compression.inspect import mosaic, ranking, scores, threshold_curve
from compression.pruning.proof import SmallerNetwork
from compression.pruning.removal import remove_zeroed
from compression.spec import CompressionSpec
from pages.ui.compute import compressed, networks
from pages.ui.compute.caching import shared


@shared(8)
def criterion_scores(spec: CompressionSpec) -> scores.Scores:
    """Returns the scores of the criterion, by layer.

    `spec` is that of `scores.scoring_spec`, which has no value of a slider, so that moving one computes nothing again.
    """
    evidence = evidence_for(networks.float_model(spec.model), spec)
    return scores.score_in_units(networks.model(spec.model, spec.fold_bn).module, spec, evidence)


@shared(256)
def curve(spec: CompressionSpec, layer: str | None) -> threshold_curve.Curve:
    """Returns the share of scores below each threshold, of one layer or of the whole network."""
    return threshold_curve.build_curve([part for name, part in criterion_scores(spec).items() if layer in (None, name)])


@shared(1024)
def cut(spec: CompressionSpec, by: CompressionSpec, layer: str | None) -> scores.Cut | None:
    """Returns where `spec` cuts the scores of `by`; None if it does not prune."""
    return scores.find_cut(spec.prune, criterion_scores(by), layer) if spec.prune else None


def _weights(spec: CompressionSpec, layer: str | None) -> scores.Scores:
    return {record.name: record.weight for record in compressed.model(spec).layers if layer in (None, record.name)}


@shared(256)
def survivors(spec: CompressionSpec, layer: str | None) -> mosaic.Mosaic:
    """Returns the mosaic of the weights that remain, of one layer or of the whole network."""
    return mosaic.build_mosaic(list(_weights(spec, layer).values()))


@shared(256)
def overlap(spec: CompressionSpec, other: CompressionSpec, layer: str | None) -> mosaic.Overlap:
    """Returns the mosaic of the weights that one of two specs prunes, or both."""
    return mosaic.build_overlap(*(list(_weights(one, layer).values()) for one in (spec, other)))


@shared(256)
def filter_ranking(spec: CompressionSpec, by: CompressionSpec, layer: str | None) -> ranking.Ranking:
    """Returns the filters of `spec` in the order of the scores of `by`."""
    weights = _weights(spec, layer)
    filter_scores = {name: part for name, part in criterion_scores(by).items() if name in weights}
    return ranking.rank_filters(list(filter_scores.values()), [weights[name] for name in filter_scores])


@shared(64)
def without_zero_filters(spec: CompressionSpec) -> SmallerNetwork:
    """Returns the network without its zero filters, as far as they can be removed, and the proof. Takes seconds."""
    return remove_zeroed(compressed.model(spec).module, networks.float_model(spec.model).example)
