"""What was measured beforehand: predictions of the bundled networks on all test images, on a grid of specs.

A file a network, of a row a spec, committed with the weights. It is shown only where it still holds: it names the
weights, the images and the arithmetic that it comes from, and rows of others are as good as none. Predictions were
computed with the torch that it names; another version or processor may round an image in ten thousand otherwise.
"""

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


@dataclass(frozen=True, eq=False)
class Landscape:
    """Rows by the canonical JSON of their specs, without the network's name. None where there is no file, or where it
    is of other weights, images or arithmetic.

    `about`: what it comes from. `stale`: why there are no rows, in a sentence, or None.
    """

    name: str
    rows: Mapping[str, Mapping[str, Any]]
    about: Mapping[str, Any]
    labels: Tensor
    margins: Tensor
    stale: str | None = None

    @property
    def torch(self) -> str | None:
        """The version of torch that it was computed with."""
        return self.about.get("torch")

    def get(self, spec: CompressionSpec) -> Result | None:
        """What was measured of `spec`, or None."""
        row = self.rows.get(_anonymous(spec))
        return self._result(row, spec) if row else None

    @property
    def results(self) -> list[Result]:
        """All of them, in the order of the file."""
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
    """What must not have changed since: digests of weights, images and code."""
    return {"weights": model.digest, "data": TEST.fingerprint, "arithmetic": arithmetic(torch_version="")}


def landscape(model: FloatModel, folder: Path | None = None) -> Landscape:
    """That of `model`; what comes along lies in FOLDER."""
    return _read(model.name, folder or FOLDER, tuple(provenance(model).items()))


def write(model: FloatModel, results: Sequence[Result], folder: Path | None = None) -> Path:
    """The file of `model`; margins are kept of the float network alone, whose images they put in order."""
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
    found = pa.table(rows).replace_schema_metadata(
        {
            ABOUT: json.dumps(about).encode(),
            LABELS: pack_predictions(before.labels.to(torch.uint8), len(before.classes)),
            MARGINS: before.margins.half().numpy().tobytes(),
        }
    )
    file = io.BytesIO()
    pq.write_table(found, file, compression="zstd", compression_level=19)
    folder = folder or FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{model.name}.parquet"
    write_whole(path, file.getvalue())
    return path


@lru_cache(maxsize=64)
def _read(name: str, folder: Path, wanted: tuple[tuple[str, str], ...]) -> Landscape:
    try:
        found = pq.read_table(folder / f"{name}.parquet")
        metadata = found.schema.metadata
        about = json.loads(metadata[ABOUT])
        if changed := [what for what, value in wanted if about[what] != value]:
            return _nothing(name, f"what was measured beforehand is of other {' and '.join(changed)}", about)
        rows = {row["spec"]: row for row in found.to_pylist()}
        margins = np.frombuffer(metadata[MARGINS], np.float16).astype(np.float32)
        labels = unpack_predictions(metadata[LABELS], about["images"], len(TEST.classes)).long()
        return Landscape(name, rows, about, labels, torch.from_numpy(margins))
    except FileNotFoundError:
        return _nothing(name, "nothing was measured beforehand")
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        return _nothing(name, f"what was measured beforehand cannot be read: {error}")


def _nothing(name: str, why: str, about: Mapping[str, Any] | None = None) -> Landscape:
    return Landscape(name, {}, about or {}, torch.empty(0, dtype=torch.long), torch.empty(0), why)


def _anonymous(spec: CompressionSpec) -> str:
    return replace(spec, model="").to_json()
