"""Networks that strangers upload stay in memory no longer than they are kept for."""

import copy
import gc
import weakref

import torch
from streamlit.testing.v1 import AppTest
from torch import nn

from compression.networks.model import FloatModel
from compression.paths import PROJECT
from pages.ui.compute import uploads

SESSIONS = 4
PATHS = ("quantization", "pruning", "layers", "tradeoffs", "deploy", "networks", "checkpoint")


def upload(simple_cnn: FloatModel, number: int) -> FloatModel:
    """Returns another network with the same layers."""
    module = copy.deepcopy(simple_cnn.module)
    with torch.no_grad():
        module.get_parameter("fc2.bias")[0] += number + 1
    return FloatModel(f"upload-{number}", module, simple_cnn.normalization, about={"arch": "simple_cnn"})


def visit_all_pages(model: FloatModel) -> None:
    """Looks at `model` on every page in a session of its own, which then ends."""
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.session_state["mine"] = {model.name: model}
    page.query_params.update({"model": model.name, "bits": "4", "sparsity": "0.5", "fold": "true"})
    assert not page.run().exception
    for path in PATHS:
        assert not page.switch_page(f"pages/{path}.py").run().exception
        assert page.query_params["model"] in (model.name, [model.name])


def live_layers() -> int:
    gc.collect()
    return sum(type(each) in (nn.Conv2d, nn.Linear) for each in gc.get_objects())


def test_networks_and_what_was_computed_of_them_end_with_their_sessions(simple_cnn, test_images):
    visit_all_pages(upload(simple_cnn, 0))
    before = live_layers()
    ends = []
    for number in range(1, SESSIONS):
        model = upload(simple_cnn, number)
        ends += [weakref.ref(model), weakref.ref(model.module)]
        visit_all_pages(model)
        del model
    assert live_layers() == before
    assert not any(end() for end in ends)


def test_a_session_that_follows_many_links_of_uploads_keeps_four(simple_cnn):
    uploads._shelf.clear()
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    for number in range(uploads.MOST_OF_ONE_SESSION + 2):
        model = upload(simple_cnn, number)
        uploads._shelf()[model.name] = uploads.time.monotonic(), model
        page.query_params["model"] = model.name
        page.switch_page("pages/networks.py" if number % 2 else "app.py").run()
        assert not page.exception
        assert page.session_state["history"].now.model == model.name
    assert len(page.session_state["mine"]) == uploads.MOST_OF_ONE_SESSION
    uploads._shelf.clear()
