"""A network as a row of stages, each of which takes what the one before it gives: the way to run it from the middle.

An architecture says its stages in a method `stages`, and its `forward` is nothing but these in turn.
"""

from collections.abc import Callable, Iterable

from torch import Tensor, nn

Stage = Callable[[Tensor], Tensor]


def run_stages(stages: Iterable[Stage], x: Tensor) -> Tensor:
    """What the last of `stages` gives, when the first one takes `x`."""
    for stage in stages:
        x = stage(x)
    return x


def image_mean(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C)."""
    return x.mean((2, 3))


def stages_of(module: nn.Module) -> list[Stage]:
    """The stages of `module`, those that are an nn.Sequential taken apart. A network that does not say has one."""
    stages = getattr(module, "stages", None)
    return [piece for stage in (stages() if stages else [module]) for piece in _pieces(stage)]


def _pieces(stage: Stage) -> list[Stage]:
    if type(stage) is not nn.Sequential:
        return [stage]
    return [piece for child in stage for piece in _pieces(child)]
