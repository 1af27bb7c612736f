"""What Explore gives the browser to follow the sliders with: nothing where the sketch does not say what they do."""

from typing import Any

import pytest

from compression.spec import CompressionSpec, Criterion, Order, Rounding, Scope
from pages.ui.compute import compressed, networks
from pages.ui.explore.drag import follow
from pages.ui.settings import selection
from pages.ui.state import session
from pages.ui.state.value import THRESHOLD, Settings

MODEL = "resnet20"


@pytest.fixture
def following(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns what `follow` returns for settings."""

    def follow_settings(**changes: Any) -> dict[str, Any] | None:
        settings = Settings(**{"model": MODEL} | changes)
        monkeypatch.setattr(session, "now", lambda: settings)
        return follow(compressed.answer(selection.spec(settings.model)), None)

    return follow_settings


@pytest.mark.parametrize(
    "settings",
    [
        {"bits": "4", "criterion": Criterion.RANDOM},
        {"bits": "4", "structure": "filter"},
        {"bits": "4", "structure": "filter", "sparsity": 0.5},
        {"rounding": Rounding.COMPENSATED},
        {"bits": "4", "reconstruct": True},
        {"fold": True, "order": Order.QUANTIZE_FIRST},
    ],
    ids=lambda settings: " ".join(settings),
)
def test_what_a_move_would_wake_is_not_followed_if_the_sketch_does_not_know_it(
    following: Any, settings: dict[str, Any]
) -> None:
    assert following(**settings) is None


def test_what_a_move_would_wake_is_part_of_the_setting(following: Any) -> None:
    in_layers = following(bits="4", scope=Scope.LAYER)
    assert (in_layers["setting"]["scope"], in_layers["setting"]["sparsity"]) == (Scope.LAYER, 0.0)
    assert all(point["sparsity"] == 0 for point in in_layers["anchors"])
    below = following(by=THRESHOLD)["setting"]
    assert (below["bits"], below["threshold"]) == (None, 0.0)


@pytest.mark.parametrize("fold", [False, True])
def test_the_file_of_the_float_network_is_among_what_is_known(following: Any, fold: bool) -> None:
    size = compressed.answer(CompressionSpec(MODEL, fold_bn=fold)).file_bytes
    known = following(bits="4", fold=fold, inputs="6")["anchors"]
    assert {"bits": None, "sparsity": 0.0, "bytes": size, "accuracy": None} in known


def test_a_network_that_is_compressed_already_is_not_followed(following: Any) -> None:
    name = next(filter(networks.is_compressed, networks.names()))
    assert following(model=name) is None
