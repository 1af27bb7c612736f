"""Inspects what a pickle would do when loaded, without loading it."""

import io
import pickletools
from collections.abc import Iterator
from typing import Any

MAX_STEPS = 1_000_000  # opcodes per file, each of which may take 200 bytes of memory; a ResNet-110 has 23,000

MAX_TUPLE_SIZE = 1000  # nested items included, since Python hashes all of them; the tuple of a shape has four

# What torch.save writes for tensors in dictionaries. torch.load allows more, for example bytearray(10**12).
PLAIN_NAMES = {
    "collections OrderedDict",
    "torch Size",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_parameter",
    *(
        f"torch {kind}Storage"
        for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
    ),
}


class TooIntricate(Exception):
    """A pickle builds larger or more structures than weights need."""


class ForeignName(Exception):
    """A pickle names a function or class that weights do not need; the message is that name."""


def check_pickles(pickled: bytes, number: int = 1) -> None:
    """Checks the first `number` of the consecutive pickles in `pickled`, without executing anything.

    Raises ForeignName or TooIntricate if one of them does more than weights need. Errors of pickletools on damaged
    pickles pass through.
    """
    stream = io.BytesIO(pickled)
    steps = 0
    for _ in range(number):
        for code, argument, size in _steps(stream):
            steps += 1
            if code in ("GLOBAL", "INST", "STACK_GLOBAL") and argument not in PLAIN_NAMES:
                raise ForeignName(argument.replace(" ", ".") if argument else "unnamed")
            if size > MAX_TUPLE_SIZE or steps > MAX_STEPS:
                raise TooIntricate


def _steps(stream: io.BytesIO) -> Iterator[tuple[str, Any, int]]:
    """Yields opcode name, argument and result size for each step of the pickle at the position of `stream`.

    The size of a tuple is 1 plus the sizes of its items; the size of anything else is 1.
    """
    stack: list[int] = []
    below_marks: list[list[int]] = []
    memo: dict[Any, int] = {}
    for code, argument, _ in pickletools.genops(stream):
        size = 1
        if code.name == "MARK":
            below_marks.append(stack)
            stack = []
        elif code.name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif code.name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        else:
            taken: list[int] = []
            below = len(code.stack_before)
            if pickletools.markobject in code.stack_before:
                taken, stack = stack, below_marks.pop()
                below = code.stack_before.index(pickletools.markobject)
            taken += [stack.pop() for _ in range(below)]
            size = 1 + sum(taken) if "TUPLE" in code.name else 1
            stack += [size] * len(code.stack_after)
        yield code.name, argument, size
