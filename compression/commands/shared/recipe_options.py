"""The options that say how a compressed network is trained."""

import argparse

from compression.retraining.recipe import (
    RATES,
    Optimizer,
    Precision,
    Quantizers,
    RateSchedule,
    SparsitySchedule,
    WeightPenalty,
)


def add_training_arguments(options: argparse.ArgumentParser) -> None:
    """Adds how long and how fast it is trained, and what changes on the way."""
    rates = ", ".join(f"{rate:g} for {name}" for name, rate in RATES.items())
    options.add_argument("--epochs", metavar="N", type=float, help="passes over the training images (default: 1)")
    options.add_argument("--optimizer", metavar="O", help=f"{' or '.join(Optimizer)} (default: {Optimizer.SGD})")
    options.add_argument("--learning-rate", metavar="R", type=float, help=f"at the beginning (default: {rates})")
    options.add_argument(
        "--rate-schedule",
        metavar="S",
        help=f"the learning rate over the steps: {', '.join(RateSchedule)} (default: {RateSchedule.LINEAR}). Rewound: "
        "it starts high again at each stage of an iterative sparsity schedule",
    )
    options.add_argument(
        "--quantizers",
        metavar="Q",
        help=f"how scales are found: {', '.join(Quantizers)} (default: {Quantizers.LEARNED}). Pact: weights fill their "
        "range as in DoReFa-Net, and the clip of layer inputs is learned",
    )
    options.add_argument(
        "--sparsity-schedule",
        metavar="S",
        help=f"when weights are pruned: {', '.join(SparsitySchedule)} (default: {SparsitySchedule.ONE_SHOT})",
    )
    options.add_argument(
        "--bit-schedule",
        metavar="B,B",
        default="",
        help="bits of weights and of quantized layer inputs in the first half of training, before those of the spec, "
        "such as 32,4,3",
    )
    options.add_argument(
        "--precision",
        metavar="P",
        help=f"what a step computes in: {' or '.join(Precision)} (default: {Precision.FLOAT32}). Bfloat16 is faster on "
        "processors that multiply in it, and slower on others",
    )


def add_penalty_arguments(options: argparse.ArgumentParser) -> None:
    """Adds what the loss is, besides that of the labels."""
    options.add_argument(
        "--weight-penalty",
        metavar="P",
        help=f"what makes weights small: {', '.join(WeightPenalty)} (default: {WeightPenalty.L2})",
    )
    options.add_argument(
        "--weight-decay", metavar="D", type=float, help="how strongly the weight penalty acts (default: 0.0001)"
    )
    options.add_argument(
        "--distillation",
        metavar="D",
        type=float,
        help="share of the loss, 0 to 1, that compares with the outputs of a teacher (default: 0)",
    )
    options.add_argument(
        "--teacher", metavar="NAME", help="the network to distil from, with --distillation (default: the float network)"
    )
    options.add_argument(
        "--bit-penalty",
        metavar="P",
        type=float,
        help="the loss, in nats, that one bit per weight adds, so that the file shrinks; try 0.01 to 0.2 (default: 0)",
    )
