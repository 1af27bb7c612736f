"""Hostile files, built byte by byte; `python -m tests.support.hostile` tries to read them all.

For each file it prints a line of JSON: its name, its size, the exception that refused it ("" if it was read) and the
message. The last line is the peak growth of the memory of the process in megabytes.
"""

import gzip
import io
import json
import pickle
import struct
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from PIL import Image

from compression.errors import CheckpointError
from compression.networks.checkpoints.reading import read_tensors
from tests.support.networks import save

FOUR = struct.pack("<4f", 1, 2, 3, 4)
TERA = 10**12


# ---- pickles, opcode by opcode


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value: int) -> bytes:
    digits = pickle.encode_long(value)
    return b"\x8a" + bytes([len(digits)]) + digits


def symbol(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + b"R"


def dictionary(**items: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def pickle_of(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def storage(key: bytes, elements: int, old: bool = False) -> bytes:
    kind = symbol("torch", "FloatStorage")
    return tuple_of(text("storage"), kind, key, text("cpu"), integer(elements), *([b"N"] if old else [])) + b"Q"


def tensor(of: bytes, shape: Iterable[int], strides: Iterable[int]) -> bytes:
    size, steps = (tuple_of(*map(integer, numbers)) for numbers in (shape, strides))
    rebuild = symbol("torch._utils", "_rebuild_tensor_v2")
    return call(rebuild, of, integer(0), size, steps, b"\x89", symbol("collections", "OrderedDict") + b")R")


# ---- the three formats around them


def zip_of(value: bytes, data: bytes | None = None, pickle_name: str = "data.pkl", key: str = "0") -> bytes:
    """The zip archive that torch.save writes: `value` pickled, and the storage `data` under `key`."""
    records = {pickle_name: pickle_of(value), "byteorder": b"little", "version": b"3\n"}
    return archive([*records.items(), *([(f"data/{key}", data)] if data is not None else [])])


def archive(records: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        for name, content in records:
            out.writestr(zipfile.ZipInfo(f"archive/{name}"), content, method)
    return file.getvalue()


def old(value: bytes, keys: list[str], data: bytes) -> bytes:
    """The format of torch.save before zip archives: five pickles, then the storages, each after its length."""
    about = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    start = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, about))
    return start + pickle_of(value) + pickle.dumps(keys, 2) + data


def safe(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(shape: Iterable[int], start: int, end: int, kind: str = "F32") -> bytes:
    return json.dumps({"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}).encode()


# ---- the files


def weight(elements: int, shape: Iterable[int], strides: Iterable[int], is_old: bool = False) -> bytes:
    return dictionary(w=tensor(storage(text("0"), elements, is_old), shape, strides))


def bomb(lies: bool) -> bytes:
    """A zip archive of 400 MB of zeros; if it lies, its table says that it holds four bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        out.writestr(zipfile.ZipInfo("archive/version"), b"3\n")
        with out.open("archive/data.pkl", "w") as record:
            for _ in range(400):
                record.write(bytes(1_000_000))
        if lies:
            out.getinfo("archive/data.pkl").file_size = 4
    return file.getvalue()


def letter_cases() -> bytes:
    """torch ignores the case of the names of records, so this loads one megabyte 1,024 times."""
    names = ["".join(c.upper() if turn >> at & 1 else c for at, c in enumerate("abcdefghij")) for turn in range(1024)]
    tensors = {name: tensor(storage(text(name), 250_000), (250_000,), (1,)) for name in names}
    return zip_of(dictionary(**tensors), bytes(1_000_000), key="abcdefghij")


def two_pickles() -> bytes:
    """Two records with the same name: Python takes the last one and torch the first."""
    with warnings.catch_warnings(action="ignore"):
        return archive([("data.pkl", pickle_of(BYTES)), ("version", b"3\n"), ("data.pkl", pickle_of(b"}"))])


def views() -> bytes:
    """A thousand tensors over one megabyte."""
    first = tensor(storage(text("0"), 250_000), (250_000,), (1,)) + b"q\x01"
    return zip_of(dictionary(w=first, **{f"w{i}": b"h\x01" for i in range(999)}), bytes(1_000_000))


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32)).save(file, kind)
    return file.getvalue()


def tar() -> bytes:
    """The first format of torch.save."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as out:
        for name in ("storages", "tensors", "pickle"):
            out.addfile(tarfile.TarInfo(name), io.BytesIO())
    return file.getvalue()


def numpy_type(name: str = "f8", order: str = "<", fields: bytes = b"NNN", flags: int = 0) -> bytes:
    """A type of NumPy as numpy.dtype pickles it: the name, and then a state with order, fields and flags."""
    state = b"(" + integer(3) + text(order) + fields + integer(-1) + integer(-1) + integer(flags) + b"t"
    return call(symbol("numpy", "dtype"), text(name), b"\x89", b"\x88") + state + b"b"


def encoded(value: str, codec: str = "latin1") -> bytes:
    """Bytes as protocol 2 writes them."""
    return call(symbol("_codecs", "encode"), text(value), text(codec))


def numpy_scalar(kind: bytes, content: bytes) -> bytes:
    return call(symbol("numpy._core.multiarray", "scalar"), kind, content)


def huge_tensor() -> bytes:
    """A tensor of 10^12 elements over one number."""
    return tensor(storage(text("0"), 4), (TERA,), (0,))


def beside(value: bytes) -> bytes:
    """A checkpoint with weights, and `value` beside them."""
    return zip_of(dictionary(w=tensor(storage(text("0"), 4), [4], [1]), best_acc=value), FOUR)


TRACE = "it ran"
SYSTEM = call(symbol("os", "system"), text(f"echo > '{TRACE}'"))
EVAL = call(symbol("builtins", "eval"), text(f"open('{TRACE}', 'w')"))
BYTES = call(symbol("builtins", "bytearray"), integer(TERA))
STACKED = text("os") + text("system") + b"\x93" + tuple_of(text(f"echo > '{TRACE}'")) + b"R"
INSTANCE = b"(" + text(f"echo > '{TRACE}'") + b"ios\nsystem\n"
NESTED = b")" + b"\x85" * 1_000_000
DOUBLED = b")" + b"q\x00h\x00\x86" * 60
CODE, DAMAGED, INTRICATE = "reading it would run code", "is damaged", "holds more structures than any weights need"

HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    # code
    "os.system": (lambda: zip_of(SYSTEM), rf"{CODE} that it brings along \(os\.system\)"),
    "os.system among weights": (lambda: zip_of(dictionary(w=SYSTEM)), CODE),
    "os.system, old": (lambda: old(SYSTEM, [], b""), CODE),
    "a terabyte of zeros in the last pickle, old": (
        lambda: old(b"}", [], b"")[:-1] + BYTES + b".",
        rf"{CODE} .*builtins\.bytearray",
    ),
    "os.system, bare": (lambda: pickle_of(SYSTEM), CODE),
    "eval": (lambda: zip_of(EVAL), rf"{CODE} .*builtins\.eval"),
    "eval, old": (lambda: old(EVAL, [], b""), CODE),
    "a terabyte of zeros": (lambda: zip_of(BYTES), rf"{CODE} .*builtins\.bytearray"),
    "a terabyte of zeros, old": (lambda: old(BYTES, [], b""), CODE),
    "a name from the stack": (lambda: zip_of(STACKED), rf"{CODE} .*unnamed"),
    "an instance": (lambda: zip_of(INSTANCE), rf"{CODE} .*os\.system"),
    "a second pickle of the same name": (two_pickles, "two records of one name"),
    "a pickle in capitals": (lambda: zip_of(BYTES, pickle_name="DATA.PKL"), r"without data\.pkl"),
    "a name that is not ASCII": (lambda: zip_of(symbol("ö", "ö")), DAMAGED),
    "a sparse tensor": (lambda: save({"w": torch.eye(3).to_sparse()}), "holds sparse tensors, which cannot be read"),
    "a quantized tensor": (
        lambda: zip_of(dictionary(w=call(symbol("torch._utils", "_rebuild_qtensor"), storage(text("0"), 4))), FOUR),
        "holds quantized weights of torch.ao.quantization, which cannot be read",
    ),
    "a meta tensor": (lambda: save({"w": torch.empty(TERA, device="meta")}), "holds tensors on the device “meta”"),
    # misuse of what training scripts store beside weights
    "a scalar of objects": (lambda: beside(numpy_scalar(numpy_type("O8", "|"), SYSTEM)), rf"{CODE} .*numpy\.dtype"),
    "a scalar of objects, old": (
        lambda: old(dictionary(a=numpy_scalar(numpy_type("O8", "|"), encoded("\0" * 8))), [], b""),
        rf"{CODE} .*numpy\.dtype",
    ),
    "a type of objects alone": (lambda: beside(numpy_type("O")), rf"{CODE} .*numpy\.dtype"),
    "a type of a gigabyte": (lambda: beside(numpy_type("V1000000000")), rf"{CODE} .*numpy\.dtype"),
    "a type with fields": (
        lambda: beside(numpy_scalar(numpy_type(fields=b"N" + tuple_of(text("a")) + b"}"), encoded("\0" * 8))),
        rf"{CODE} .*numpy\.dtype with fields",
    ),
    "a type with a subarray": (
        lambda: beside(numpy_type(fields=tuple_of(numpy_type(), tuple_of(integer(TERA))) + b"NN")),
        rf"{CODE} .*numpy\.dtype with fields",
    ),
    "a type that asks for pickled objects": (
        lambda: beside(numpy_scalar(numpy_type(flags=63), encoded("\0" * 8))),
        rf"{CODE} .*numpy\.dtype with fields",
    ),
    "a type with two states": (lambda: beside(numpy_type() + b"}b"), rf"{CODE} .*numpy\.dtype with fields"),
    "a type without a state": (
        lambda: beside(numpy_scalar(call(symbol("numpy", "dtype"), text("f8"), b"\x89", b"\x88"), encoded("\0" * 8))),
        rf"{CODE} .*another type than a number",
    ),
    "a scalar of a tensor": (lambda: beside(numpy_scalar(huge_tensor(), encoded("\0" * 8))), rf"{CODE} .*numpy scalar"),
    "a scalar that holds a tensor": (lambda: beside(numpy_scalar(numpy_type(), huge_tensor())), rf"{CODE} .*numpy sc"),
    "a scalar that is too long": (
        lambda: beside(numpy_scalar(numpy_type(), encoded("\0" * 16))),
        rf"{CODE} .*another size than its type",
    ),
    "an array of NumPy": (
        lambda: beside(call(symbol("numpy.core.multiarray", "_reconstruct"), symbol("numpy", "ndarray"))),
        "holds arrays of NumPy, which cannot be read",
    ),
    "another function of NumPy": (
        lambda: beside(call(symbol("numpy", "load"), text("file"))),
        rf"{CODE} .*numpy\.load",
    ),
    "another function beside NumPy's scalars": (
        lambda: beside(call(symbol("numpy.core.multiarray", "fromfile"), text("file"))),
        rf"{CODE} .*numpy\.core\.multiarray\.fromfile",
    ),
    "a Counter of a tensor of terabytes": (
        lambda: beside(call(symbol("collections", "Counter"), huge_tensor())),
        rf"{CODE} .*collections\.Counter",
    ),
    "a Counter of a tensor of terabytes, from the memo": (
        lambda: beside(b"]" + symbol("collections", "Counter") + b"q\x05a" + call(b"h\x05", huge_tensor()) + b"a"),
        rf"{CODE} .*collections\.Counter",
    ),
    "a Counter of a long text": (
        lambda: beside(call(symbol("collections", "Counter"), text("a" * 2_000_000))),
        rf"{CODE} .*collections\.Counter",
    ),
    "a Counter of a Counter": (
        lambda: beside(call(symbol("collections", "Counter"), call(symbol("collections", "Counter"), b"}"))),
        rf"{CODE} .*collections\.Counter",
    ),
    "a Counter made as an object": (
        lambda: beside(symbol("collections", "Counter") + tuple_of(huge_tensor()) + b"\x81"),
        rf"{CODE} .*collections\.Counter",
    ),
    "a Counter whose arguments are no tuple": (
        lambda: beside(symbol("collections", "Counter") + b"]" + huge_tensor() + b"aR"),
        rf"{CODE} .*collections\.Counter",
    ),
    "bytes that double": (
        lambda: beside(call(symbol("_codecs", "encode"), encoded("a" * 60, "hex_codec"), text("hex_codec"))),
        rf"{CODE} .*_codecs\.encode",
    ),
    "a codec of a stranger": (lambda: beside(encoded("a", "unicode_escape")), rf"{CODE} .*_codecs\.encode"),
    "a long text as bytes": (lambda: beside(encoded("a" * 1000)), rf"{CODE} .*_codecs\.encode"),
    "a device of a tensor": (
        lambda: beside(call(symbol("torch", "device"), huge_tensor())),
        rf"{CODE} .*torch\.device",
    ),
    "a device that is none": (lambda: beside(call(symbol("torch", "device"), text("os"))), rf"{CODE} .*torch\.device"),
    "a call of what is no function": (lambda: beside(call(b"}", huge_tensor())), rf"{CODE} .*unnamed"),
    "a call of a function after a state": (
        lambda: beside(symbol("collections", "Counter") + b"}b" + tuple_of(huge_tensor()) + b"R"),
        rf"{CODE} .*collections\.Counter",
    ),
    "a call of a type of torch": (lambda: beside(call(symbol("torch", "float32"), integer(1))), DAMAGED),
    # structures
    "a million nested tuples as a key": (lambda: zip_of(b"}" + NESTED + b"Ns"), INTRICATE),
    "a tuple of 2^60 as a key": (lambda: zip_of(b"}" + DOUBLED + b"Ns"), INTRICATE),
    "a tuple of 2^60 as a key, old": (lambda: old(b"}" + DOUBLED + b"Ns", [], b""), INTRICATE),
    "a tuple of 2^60 as a storage": (lambda: zip_of(storage(DOUBLED, 4)), INTRICATE),
    "a million sets": (lambda: zip_of(b"]" + b"(" + b"\x8f" * 1_000_000 + b"e"), INTRICATE),
    "a million sets, old": (lambda: old(b"]" + b"(" + b"\x8f" * 1_000_000 + b"e", [], b""), INTRICATE),
    "a hundred thousand nested lists": (lambda: zip_of(b"]" * 100_000 + b"a" * 99_999), "holds a list"),
    "a hundred thousand nested wrappers": (
        lambda: zip_of((b"}" + text("model")) * 100_000 + b"}" + b"s" * 100_000),
        "holds no weights",
    ),
    "a wrapper that wraps itself": (lambda: zip_of(b"}q\x00" + text("model") + b"h\x00s"), "holds no weights"),
    "keys that are no names": (
        lambda: zip_of(b"}(" + integer(1) + b"N" + b"NN" + b")N" + symbol("torch", "Size") + b")RNu"),
        "holds no weights",
    ),
    "a dictionary whose methods are numbers": (
        lambda: zip_of(call(symbol("collections", "OrderedDict")) + dictionary(items=b"K\x01", get=b"K\x01") + b"b"),
        "holds no weights",
    ),
    "65 dimensions": (lambda: zip_of(weight(4, [1] * 65, [1] * 65), FOUR), "tensor w of file has 65 dimensions"),
    "65 dimensions, safe": (
        lambda: safe(b'{"w":' + entry([1] * 65, 0, 4) + b"}", FOUR[:4]),
        "tensor w of file has 65 dimensions",
    ),
    "a hundred thousand dimensions": (lambda: zip_of(weight(4, [0] * 100_000, [0] * 100_000), FOUR), INTRICATE),
    "a hundred thousand dimensions, safe": (
        lambda: safe(b'{"w":' + entry([0] * 100_000, 0, 0) + b"}"),
        "tensor w of file has 100000 dimensions",
    ),
    # sizes
    "a zip archive that grows": (lambda: bomb(lies=False), "is a compressed zip archive"),
    "a zip archive that grows and lies": (lambda: bomb(lies=True), "is a compressed zip archive"),
    "a storage that is not all there": (lambda: zip_of(weight(TERA, [4], [1]), FOUR), DAMAGED),
    "a storage that is not there": (lambda: zip_of(weight(4, [4], [1])), DAMAGED),
    "a storage that is not all there, old": (
        lambda: old(weight(10**9, [4], [1], True), ["0"], struct.pack("<q", 10**9) + FOUR),
        DAMAGED,
    ),
    "a storage of another length, old": (
        lambda: old(weight(10**9, [4], [1], True), ["0"], struct.pack("<q", 4) + FOUR),
        DAMAGED,
    ),
    "a storage that is never filled, old": (lambda: old(weight(1000, [1000], [1], True), [], b""), DAMAGED),
    "a storage of terabytes, old": (lambda: old(weight(TERA, [4], [1], True), [], b""), DAMAGED),
    "a negative storage": (lambda: zip_of(weight(-4, [4], [1]), FOUR), DAMAGED),
    "a storage read over and over": (letter_cases, DAMAGED),
    "more than the storage has": (lambda: zip_of(weight(4, [1000], [1]), FOUR), DAMAGED),
    "more than the storage has, old": (
        lambda: old(weight(4, [10**8], [1], True), ["0"], struct.pack("<q", 4) + FOUR),
        DAMAGED,
    ),
    "a number repeated to terabytes": (
        lambda: zip_of(weight(4, [10**6, 10**6], [0, 0]), FOUR),
        "the tensors of file have 4,000,000,000,000 bytes",
    ),
    "more elements than can be counted": (lambda: zip_of(weight(4, [2**62, 4], [0, 0]), FOUR), DAMAGED),
    "a negative stride": (lambda: zip_of(weight(4, [4], [-1]), FOUR), DAMAGED),
    "a negative shape": (lambda: zip_of(weight(4, [-4], [1]), FOUR), DAMAGED),
    "a thousand tensors over one storage": (views, "the tensors of file have 1,000,000,000 bytes"),
    "a header of exabytes": (lambda: safe(b"{}", length=2**63), "header of file has 9,223,372,036,854,775,808 bytes"),
    "a header longer than the file": (lambda: safe(b"{}", length=1000), DAMAGED),
    "a deep header": (lambda: safe(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), DAMAGED),
    "a header of numbers": (lambda: safe(b'{"w": 4}'), DAMAGED),
    "overlapping tensors": (
        lambda: safe(b'{"w":' + entry([2], 0, 8) + b',"v":' + entry([2], 4, 12) + b"}", FOUR[:12]),
        DAMAGED,
    ),
    "a tensor beyond the file": (lambda: safe(b'{"w":' + entry([TERA], 0, 4 * TERA) + b"}", FOUR), DAMAGED),
    "a tensor of another size": (lambda: safe(b'{"w":' + entry([3], 0, 16) + b"}", FOUR), DAMAGED),
    "a shape that overflows": (lambda: safe(b'{"w":' + entry([2**62, 8], 0, 16) + b"}", FOUR), DAMAGED),
    "bytes after the tensors, safe": (lambda: safe(b'{"w":' + entry([1], 0, 4) + b"}", FOUR), DAMAGED),
    "bytes after the tensors, old": (
        lambda: old(weight(4, [4], [1], True), ["0"], struct.pack("<q", 4) + FOUR + b"\0"),
        "there are bytes after its end",
    ),
    # other things than networks
    "nothing": (lambda: b"", DAMAGED),
    "a letter": (lambda: b"a", DAMAGED),
    "text": (lambda: b"epoch, loss\n1, 2.3\n" * 100, DAMAGED),
    "JSON": (lambda: b'{"weights": [1, 2, 3]}', DAMAGED),
    "zeros": (lambda: bytes(1000), DAMAGED),
    "PNG": (lambda: picture("png"), DAMAGED),
    "JPEG": (lambda: picture("jpeg"), DAMAGED),
    "gzip": (lambda: gzip.compress(save({"w": torch.ones(3)})), "is a compressed file, .*: unpack it first"),
    "tar": (tar, "is a tar archive, .*: unpack it first"),
    "an empty zip archive": (lambda: archive([]), DAMAGED),
    "a zip archive of something else": (lambda: archive([("notes.txt", b"hello")]), r"without data\.pkl"),
}


def most_memory_mb() -> float:
    """The peak memory of this process in MB. (resource.getrusage would include that of its parent.)"""
    status = Path("/proc/self/status").read_text() if sys.platform == "linux" else "VmHWM: 0 kB"
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def main() -> None:
    read_tensors(save({"w": torch.ones(3)}), "file")
    before = most_memory_mb()
    for name, (make, _) in HOSTILE.items():
        content = make()
        kind, words = "", ""
        try:
            read_tensors(content, "file")
        except CheckpointError as error:
            kind, words = type(error).__name__, str(error)
        print(json.dumps([name, len(content), kind, words]), flush=True)
    print(json.dumps(most_memory_mb() - before))


if __name__ == "__main__":
    main()
