"""A network as a sequence of stages, each of which takes the output of the one before: so it can start in the middle.

An architecture returns its stages from a method `stages`, and its `forward` runs them one after another.
"""

from collections.abc import Callable, Iterable

from torch import Tensor, nn

Stage = Callable[[Tensor], Tensor]


def run_stages(stages: Iterable[Stage], x: Tensor) -> Tensor:
    """Returns the output of the last of `stages` if `x` is the input of the first."""
    for stage in stages:
        x = stage(x)
    return x


def image_mean(x: Tensor) -> Tensor:
    """Averages over the image: (N, C, H, W) -> (N, C)."""
    return x.mean((2, 3))


def stages_of(module: nn.Module) -> list[Stage]:
    """Returns the stages of `module`, each nn.Sequential split into its parts. A network without stages is one."""
    stages = getattr(module, "stages", None)
    return [piece for stage in (stages() if stages else [module]) for piece in _pieces(stage)]


def _pieces(stage: Stage) -> list[Stage]:
    if type(stage) is not nn.Sequential:
        return [stage]
    return [piece for child in stage for piece in _pieces(child)]
