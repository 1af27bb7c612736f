"""How a compressed network is trained: the recipe that the settings select."""

from compression.library.recovered import ancestor
from compression.networks.untrained import is_untrained
from compression.retraining.recipe import (
    Quantizers,
    RateSchedule,
    Recipe,
    SparsitySchedule,
    bit_penalty_problem,
    bit_schedule_problem,
    fewest_bits,
    pact_problem,
)
from compression.retraining.start import whole_spec
from compression.spec import CompressionSpec, Structure
from pages.ui.compute import networks
from pages.ui.state.value import Settings


def spec_to_train(spec: CompressionSpec) -> CompressionSpec:
    """Returns what training holds: of a network that is compressed already, also what was done to it before."""
    return whole_spec(networks.float_model(spec.model), spec)


def recipe_of(now: Settings, spec: CompressionSpec) -> Recipe:
    """Returns the recipe that the settings select, as far as it concerns `spec`."""
    scales = scales_of(now, spec)
    gradual = now.gradual if can_be_gradual(spec) else SparsitySchedule.ONE_SHOT
    is_rewound = now.rate_schedule is RateSchedule.REWOUND
    return Recipe(
        epochs=now.epochs,
        optimizer=now.optimizer,
        learning_rate=now.learning_rate,
        quantizers=scales,
        rate_schedule=(
            RateSchedule.LINEAR if is_rewound and gradual is not SparsitySchedule.ITERATIVE else now.rate_schedule
        ),
        weight_penalty=now.weight_penalty,
        sparsity_schedule=gradual,
        bit_schedule=bits_first(now, spec),
        distillation=now.distillation,
        bit_penalty=0.0 if bit_penalty_problem(spec, scales) else now.bit_penalty,
        precision=now.precision,
        seed=now.training_seed,
    )


def scales_of(now: Settings, spec: CompressionSpec) -> Quantizers:
    """Returns how scales are found; they are learned where the selected way is not for `spec`."""
    quantizes = spec.quantizes_weights or spec.activations
    is_possible = quantizes and not (now.scales is Quantizers.PACT and pact_problem(spec))
    return now.scales if is_possible else Quantizers.LEARNED


def bits_first(now: Settings, spec: CompressionSpec) -> tuple[int, ...]:
    """Returns the bits that are trained first, as far as they are more than the fewest of `spec`."""
    fewest = fewest_bits(spec) or 0
    schedule = tuple(bits for bits in map(int, filter(None, now.bits_first.split(","))) if bits > fewest)
    is_possible = (
        schedule and scales_of(now, spec) is Quantizers.LEARNED and bit_schedule_problem(schedule, spec) is None
    )
    return schedule if is_possible else ()


def can_be_gradual(spec: CompressionSpec) -> bool:
    """Returns whether weights can be pruned little by little: towards a sparsity that is known."""
    prune = spec.prune
    return prune is not None and prune.sparsity is not None and prune.structure is not Structure.N_M


def teacher_of(now: Settings, model: str) -> str | None:
    """Returns the name of the teacher, if there is distillation from another network than `model`.

    By default it is the float network, also for a network that was compressed and trained already, if it is here and
    was not untrained. Raises ValueError for a network that has nothing to teach or is not here.
    """
    if not now.distillation:
        return None
    here, name = networks.names(), now.teacher or ancestor(model)
    if name == model:
        return None
    if not now.teacher:
        return name if name in here and not is_untrained(name) else None
    if name not in here:
        raise ValueError(f"the teacher {name!r} is not here: name another one")
    if is_untrained(name):
        raise ValueError("an untrained network has nothing to teach: name another teacher")
    return name
