"""The committed landscape: predictions of the bundled networks on all test images, for a grid of specs.

One Parquet file per network, with one row per spec, is committed beside the weights. It names the digests of the
weights, the images and the code that it was measured with; if one of them differs from today's, its rows are not used.
It also names the version of torch: another version or processor may round differently, and then about one prediction in
ten thousand differs.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from compression.data.cifar10 import TEST
from compression.evaluation.evaluation import Evaluation
from compression.evaluation.predictions import pack_predictions, unpack_predictions
from compression.files.stored import StoredNetwork
from compression.networks.model import FloatModel
from compression.paths import ASSETS, write_whole
from compression.results.costs import Costs
from compression.results.provenance import arithmetic
from compression.results.result import Result
from compression.spec import CompressionSpec
from compression.spec.recipe import from_json

FOLDER = ASSETS / "landscape"

ABOUT = b"squeezelab"

LABELS, MARGINS = b"labels", b"margins"

COSTS = [each.name for each in fields(Costs)]


MEASURE_AGAIN = "run `python -m compression landscape` to measure it again"


@dataclass(frozen=True, eq=False)
class Landscape:
    """The committed results of one network, by the canonical JSON of their specs without the network's name.

    `about` names what they were measured with. `stale` is a sentence that says why the rows of an existing file cannot
    be used, or None. `rows` is empty if the file is stale or missing.
    """

    name: str
    rows: Mapping[str, Mapping[str, Any]]
    about: Mapping[str, Any]
    labels: Tensor
    margins: Tensor
    stale: str | None = None

    @property
    def torch(self) -> str | None:
        """The version of torch that the predictions were computed with."""
        return self.about.get("torch")

    def get(self, spec: CompressionSpec) -> Result | None:
        """Returns the result of `spec`, or None."""
        row = self.rows.get(_anonymous(spec))
        return self._result(row, spec) if row else None

    @property
    def results(self) -> list[Result]:
        """All results, in the order of the file."""
        return [self._result(row, replace(from_json(text), model=self.name)) for text, row in self.rows.items()]

    def _result(self, row: Mapping[str, Any], spec: CompressionSpec) -> Result:
        is_float = spec == CompressionSpec(spec.model)
        evaluation = Evaluation(
            predictions=unpack_predictions(row["predictions"], len(self.labels), len(TEST.classes)),
            labels=self.labels,
            classes=TEST.classes,
            in_top5=row["in_top5"],
            loss_sum=row["loss_sum"],
            margins=self.margins if is_float else None,
        )
        return Result(spec, Costs(**{name: row[name] for name in COSTS}), evaluation)


def provenance(model: FloatModel) -> dict[str, str]:
    """Returns the digests that predictions depend on: of the weights, the images and the code.

    Of a network that is compressed already, it is the digest of its packed file.
    """
    return _provenance(_digest(model.content) if isinstance(model, StoredNetwork) else model.digest)


def read_landscape(model: FloatModel, folder: Path | None = None) -> Landscape:
    """Returns the landscape of `model` from `folder`, by default the committed one."""
    return _read(model.name, folder or FOLDER, tuple(provenance(model).items()))


def read_landscape_of_file(name: str, content: bytes, folder: Path | None = None) -> Landscape:
    """Returns the landscape of the network called `name` that a packed file holds, without decoding the file."""
    return _read(name, folder or FOLDER, tuple(_provenance(_digest(content)).items()))


def write_landscape(model: FloatModel, results: Sequence[Result], folder: Path | None = None) -> Path:
    """Writes the landscape of `model` and returns its path.

    Margins are kept for the float network only, because they define the visiting order of its images.
    """
    before = next(each for each in results if each.spec == CompressionSpec(model.name)).evaluation
    assert before.margins is not None
    rows = {
        "spec": [_anonymous(each.spec) for each in results],
        **{name: [asdict(each.costs)[name] for each in results] for name in COSTS},
        "in_top5": [each.evaluation.in_top5 for each in results],
        "loss_sum": [each.evaluation.loss_sum for each in results],
        "predictions": [pack_predictions(each.evaluation.predictions, len(before.classes)) for each in results],
    }
    about = provenance(model) | {"torch": torch.__version__, "images": before.total}
    table, file = pa.table(rows), io.BytesIO()
    with pq.ParquetWriter(file, table.schema, compression="zstd", compression_level=19, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(  # the schema, if it were stored, would hold all of this once more
            {
                ABOUT: json.dumps(about).encode(),
                LABELS: pack_predictions(before.labels.to(torch.uint8), len(before.classes)),
                MARGINS: before.margins.half().numpy().tobytes(),
            }
        )
    folder = folder or FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{model.name}.parquet"
    write_whole(path, file.getvalue())
    return path


def _provenance(weights: str) -> dict[str, str]:
    return {"weights": weights, "data": TEST.fingerprint, "arithmetic": arithmetic(torch_version="")}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=64)
def _read(name: str, folder: Path, digests: tuple[tuple[str, str], ...]) -> Landscape:
    try:
        table = pq.read_table(folder / f"{name}.parquet")
        metadata = table.schema.metadata
        about = json.loads(metadata[ABOUT])
        if other := [what for what, value in digests if about[what] != value]:
            why = f"was measured with other {' and '.join(other)} and is not used"
            return _empty(name, f"The committed landscape of {name} {why}; {MEASURE_AGAIN}.", about)
        rows = {row["spec"]: row for row in table.to_pylist()}
        margins = np.frombuffer(metadata[MARGINS], np.float16).astype(np.float32)
        labels = unpack_predictions(metadata[LABELS], about["images"], len(TEST.classes)).long()
        return Landscape(name, rows, about, labels, torch.from_numpy(margins))
    except FileNotFoundError:
        return _empty(name)
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        return _empty(name, f"The committed landscape of {name} cannot be read ({error}); {MEASURE_AGAIN}.")


def _empty(name: str, stale: str | None = None, about: Mapping[str, Any] | None = None) -> Landscape:
    return Landscape(name, {}, about or {}, torch.empty(0, dtype=torch.long), torch.empty(0), stale)


def _anonymous(spec: CompressionSpec) -> str:
    return replace(spec, model="").to_json()
