"""Inspects what a pickle would do when loaded, without loading it."""

import io
import pickletools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

MAX_STEPS = 1_000_000  # opcodes per file, each of which may take 200 bytes of memory; a ResNet-110 has 23,000

MAX_TUPLE_SIZE = 1000  # nested items included, since Python hashes all of them; the tuple of a shape has four

MAX_TEXT = 64  # characters of a text that a function may take as an argument

DTYPES = ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")

DEVICES = ("cpu", "cuda", "mps", "xpu", "xla", "hpu", "meta")

NUMPY_TYPES = {  # name of a NumPy type in a pickle -> its format in `struct`
    "b1": "?",
    **{f"i{size}": layout for size, layout in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))},
    **{f"u{size}": layout for size, layout in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))},
    **{f"f{size}": layout for size, layout in ((2, "e"), (4, "f"), (8, "d"))},
}

NUMPY_SCALARS = ("numpy.core.multiarray scalar", "numpy._core.multiarray scalar")  # before NumPy 2, and since

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
    *(f"torch {dtype}" for dtype in DTYPES),
    *NUMPY_SCALARS,  # which `metadata` replaces by functions of its own, as the type of NumPy
}


class TooIntricate(Exception):
    """A pickle builds larger or more structures than weights need."""


class ForeignName(Exception):
    """A pickle names a function or class that weights do not need; the message is that name."""


class _Unknown:
    """The value of an object whose value does not matter to the checks."""


class _Dictionary:
    """The value of a dictionary, whatever it contains."""


class _Name(NamedTuple):
    """The value of a function or class, by its name."""

    name: str


class _Item(NamedTuple):
    """An object on the stack. The size of a tuple is 1 plus the sizes of its items; that of anything else is 1."""

    size: int = 1
    value: Any = _Unknown


_PLAIN = _Item()

_CHANGES = {"SETITEM", "SETITEMS", "APPEND", "APPENDS", "BUILD"}  # the opcodes that change an object and return it


class _Effect(NamedTuple):
    """How many objects an opcode takes from the stack, not counting those above a mark, and how many it puts on it."""

    taken: int
    to_mark: bool
    put: int


def _effect(code: pickletools.OpcodeInfo) -> _Effect:
    before, mark = code.stack_before, pickletools.markobject
    return _Effect(before.index(mark) if mark in before else len(before), mark in before, len(code.stack_after))


_EFFECTS = {code.name: _effect(code) for code in pickletools.opcodes}


class _Step(NamedTuple):
    """One opcode with its argument, the object that it makes, and the function that it calls with its arguments."""

    code: str
    argument: Any
    made: _Item
    function: Any = _Unknown
    arguments: Any = _Unknown


def _is_text_of_bytes(arguments: tuple[Any, ...]) -> bool:
    """Whether these are a few bytes as protocol 2 writes them: a text, and the codec that turns it into bytes."""
    return len(arguments) == 2 and isinstance(arguments[0], str) and arguments[1] == "latin1"


def _is_dictionary(arguments: tuple[Any, ...]) -> bool:
    """Whether a Counter is made of a dictionary. From anything else it would count, a tensor of terabytes as well."""
    return arguments in ((), (_Dictionary,))


def _is_device(arguments: tuple[Any, ...]) -> bool:
    return arguments[:1] in [(name,) for name in DEVICES] and all(type(index) is int for index in arguments[1:])


def _is_numpy_type(arguments: tuple[Any, ...]) -> bool:
    """Whether these are (name, align, copy) of a NumPy type that holds a number, and nothing that holds objects."""
    return len(arguments) == 3 and arguments[0] in NUMPY_TYPES and all(each in (0, 1) for each in arguments[1:])


# Functions that can be called with these arguments and with no others. Nothing of NumPy is called, see `metadata`.
GUARDED: dict[str, Callable[[tuple[Any, ...]], bool]] = {
    "_codecs encode": _is_text_of_bytes,
    "collections Counter": _is_dictionary,
    "torch device": _is_device,
    "numpy dtype": _is_numpy_type,
}

_ALLOWED = PLAIN_NAMES | GUARDED.keys()


def check_pickles(pickled: bytes, number: int = 1) -> None:
    """Checks the first `number` of the consecutive pickles in `pickled`, without executing anything.

    Raises ForeignName or TooIntricate if one of them does more than weights need. Errors of pickletools on damaged
    pickles pass through.
    """
    stream = io.BytesIO(pickled)
    steps = 0
    for _ in range(number):
        for step in _steps(stream):
            steps += 1
            if step.code in ("GLOBAL", "INST", "STACK_GLOBAL") and step.argument not in _ALLOWED:
                raise ForeignName(step.argument.replace(" ", ".") if step.argument else "unnamed")
            if step.code in ("REDUCE", "NEWOBJ") and not _allows(step.function, step.arguments):
                named = isinstance(step.function, _Name)
                raise ForeignName(step.function.name.replace(" ", ".") if named else "unnamed")
            if step.made.size > MAX_TUPLE_SIZE or steps > MAX_STEPS:
                raise TooIntricate


def _allows(function: Any, arguments: Any) -> bool:
    """Whether `function` is one by name, and may take these arguments."""
    if not isinstance(function, _Name):
        return False
    return function.name not in GUARDED or (isinstance(arguments, tuple) and GUARDED[function.name](arguments))


def _steps(stream: io.BytesIO) -> Iterator[_Step]:
    """Yields the steps of the pickle at the position of `stream`."""
    stack: list[_Item] = []
    below_marks: list[list[_Item]] = []
    memo: dict[Any, _Item] = {}
    for code, argument, _ in pickletools.genops(stream):
        made, function, arguments = _PLAIN, _Unknown, _Unknown
        if code.name == "MARK":
            below_marks.append(stack)
            stack = []
        elif code.name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif code.name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        else:
            above: list[_Item] = []
            effect = _EFFECTS[code.name]
            if effect.to_mark:
                above, stack = stack, below_marks.pop()
            taken = [stack.pop() for _ in range(effect.taken)][::-1] + above
            made = _made(code.name, argument, taken)
            if code.name in ("REDUCE", "NEWOBJ"):
                function, arguments = (each.value for each in taken)
            stack += [made] * effect.put
        yield _Step(code.name, argument, made, function, arguments)


def _made(code: str, argument: Any, taken: list[_Item]) -> _Item:
    """Returns what the opcode `code` makes of the objects that it takes from the stack, the deepest first."""
    if "TUPLE" in code:
        size = 1 + sum(each.size for each in taken)
        return _Item(size, tuple(each.value for each in taken) if size <= MAX_TUPLE_SIZE else _Unknown)
    if code in _CHANGES:
        return taken[0]
    if code in ("GLOBAL", "STACK_GLOBAL"):
        return _Item(value=_Name(argument))
    if code in ("EMPTY_DICT", "DICT"):
        return _Item(value=_Dictionary)
    if code in ("NEWTRUE", "NEWFALSE"):
        return _Item(value=code == "NEWTRUE")
    if isinstance(argument, int) or (isinstance(argument, str) and len(argument) <= MAX_TEXT):
        return _Item(value=argument)
    return _PLAIN
