"""Damaged checkpoints are refused with an error, wherever the damage is, if it can be detected at all."""

import io
import random
import struct
import zipfile

import pytest
import torch

from compression.errors import CheckpointError
from compression.networks.checkpoints.reading import read_tensors
from compression.networks.checkpoints.recognition import recognise
from tests.support.hostile import archive, dictionary, old, storage, tensor, text
from tests.support.networks import KINDS, save, tensors

ARCH = "resnet8"
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.999])
@each_kind
def test_a_file_cut_short_is_refused(kind: str, fraction: float) -> None:
    content = KINDS[kind](tensors(ARCH))
    with pytest.raises(CheckpointError, match="damaged"):
        read_tensors(content[: int(fraction * len(content))], "net")


@each_kind
def test_a_file_cut_anywhere_is_refused(kind: str) -> None:
    """torch raises several kinds of errors here, depending on where the file ends."""
    content = KINDS[kind]({"a": torch.ones(3), "b": torch.zeros(2, 2)})
    for length in range(len(content)):
        with pytest.raises(CheckpointError):
            read_tensors(content[:length], "net")


def test_every_flipped_bit_in_the_weights_of_a_zip_archive_is_seen() -> None:
    """The checksums of the archive reveal it; torch itself does not check them."""
    content = save({"w": torch.full((8,), 1.5)})
    start = content.index(struct.pack("<8f", *[1.5] * 8))
    for bit in range(8 * 32):
        copy = bytearray(content)
        copy[start + bit // 8] ^= 1 << bit % 8
        with pytest.raises(CheckpointError, match="Bad CRC-32"):
            read_tensors(bytes(copy), "net")


def test_a_storage_that_is_missing_is_refused() -> None:
    with zipfile.ZipFile(io.BytesIO(save(tensors(ARCH)))) as whole:
        records = [(name.partition("/")[2], whole.read(name)) for name in whole.namelist()]
    assert read_tensors(archive(records), "net").keys() == tensors(ARCH).keys()
    for member in ("data/0", "data/7", "data.pkl", "version"):
        with pytest.raises(CheckpointError, match="damaged"):
            read_tensors(archive(record for record in records if record[0] != member), "net")


# ---- two hundred damaged files


def in_the_old_format() -> bytes:
    """Returns a file built by hand, because torch names storages after their addresses, which differ each time."""
    floats = {key: value for key, value in tensors(ARCH).items() if value.is_floating_point()}
    keys = [str(key) for key in range(len(floats))]
    values = {
        name: tensor(storage(text(key), value.numel(), old=True), value.shape, value.stride())
        for key, (name, value) in zip(keys, floats.items(), strict=True)
    }
    data = [struct.pack("<q", value.numel()) + value.numpy().tobytes() for value in floats.values()]
    return old(dictionary(**values), keys, b"".join(data))


def test_the_files_to_be_damaged_are_whole() -> None:
    for content in (KINDS["zip"](tensors(ARCH)), KINDS["safe"](tensors(ARCH)), in_the_old_format()):
        assert recognise(read_tensors(content, "net")).architecture.name == ARCH


def damage(seed: int) -> bytes:
    """Returns a file of a small network, damaged in one of many ways that `seed` determines."""
    dice = random.Random(seed)
    files = [KINDS["zip"](tensors(ARCH)), KINDS["safe"](tensors(ARCH)), in_the_old_format()]
    content, other = bytearray(dice.choice(files)), dice.choice(files)

    def somewhere(size: int) -> int:
        """Returns a position, mostly near an end of the file, where the formats have their tables."""
        return dice.choice([dice.randrange(size), dice.randrange(9000), size - 1 - dice.randrange(9000)])

    at, to = sorted((somewhere(len(content)), somewhere(len(content))))
    match dice.randrange(9):
        case 0:
            del content[at:]
        case 1:
            del content[at : at + dice.choice([1, 2, 8, 100])]
        case 2:
            for _ in range(dice.choice([1, 1, 1, 5, 50])):
                content[somewhere(len(content))] ^= 1 << dice.randrange(8)
        case 3:
            content[at:at] = dice.randbytes(dice.choice([1, 2, 8, 100]))
        case 4:
            content[at:] = other[somewhere(len(other)) :]
        case 5:
            content[at:to] = content[at:to][::-1]
        case 6:
            content[at : at + 8] = dice.choice([b"\xff" * 8, b"\0" * 8, b"\xff\xff\xff\x7f" * 2])
        case 7:
            content += dice.choice([b"\0", other, bytes(content)])
        case 8:
            content = bytearray(wrong_pickle(dice))
    return bytes(content)


def wrong_pickle(dice: random.Random) -> bytes:
    """Returns a zip archive with valid checksums and a damaged pickle."""
    with zipfile.ZipFile(io.BytesIO(save(tensors(ARCH)))) as whole:
        records = {name.partition("/")[2]: whole.read(name) for name in whole.namelist()}
    steps = bytearray(records["data.pkl"])
    for _ in range(dice.choice([1, 1, 3])):
        at = dice.randrange(len(steps))
        steps[at : at + dice.randrange(3)] = dice.choice(
            [b"", b"N", b")", b"}", b"]", b"(", b"t", b"R", b"Q", b"\x85", b"s"]
        )
    return archive((records | {"data.pkl": bytes(steps)}).items())


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # pickletools, of names
@pytest.mark.parametrize("seed", range(200))
def test_a_damaged_file_is_refused_or_its_network_is_sound(seed: int) -> None:
    """Without a checksum, a flipped bit of a weight cannot be detected; only zip archives have checksums."""
    try:
        network = recognise(read_tensors(damage(seed), "net"))
    except CheckpointError:
        return
    state = network.module.state_dict()
    assert network.architecture.name in (ARCH, f"{ARCH}-a")
    assert all(value.isfinite().all() for value in state.values())
    assert {key: value.shape for key, value in state.items()} == {
        key: value.shape for key, value in tensors(network.architecture.name).items()
    }


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_most_damaged_files_are_refused() -> None:
    """Of the files of the test above, some are valid and most are refused."""
    refusals = 0
    for seed in range(60):
        try:
            read_tensors(damage(seed), "net")
        except CheckpointError:
            refusals += 1
    assert 30 < refusals < 60
