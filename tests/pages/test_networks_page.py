"""The page of all networks: the picker, the card of the picked one, and the public ones."""

import pytest
from streamlit.testing.v1 import AppTest

from compression.networks import public
from compression.networks.bundled import bundled_names, load_bundled
from compression.paths import PROJECT
from pages.ui import wording
from pages.ui.compute import networks
from pages.ui.networks import card


@pytest.fixture
def page() -> AppTest:
    page = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=120)
    page.query_params["model"] = "simple_cnn"
    page.switch_page("pages/networks.py")
    return page.run()


def metrics(page: AppTest) -> dict[str, str]:
    assert not page.exception
    return {metric.label: metric.value for metric in page.metric}


def test_the_card_tells_what_the_bundled_file_and_the_modules_say(page):
    model = load_bundled("simple_cnn")
    shown = metrics(page)
    assert shown["Accuracy in float"] == wording.percent(model.accuracy, 2)
    assert shown["Parameters"] == wording.quantity(model.parameters)
    assert shown["Multiply-accumulates"] == wording.quantity(sum(networks.layer_macs("simple_cnn").values()))
    assert list(page.dataframe[0].value["Layer"]) == list(networks.layer_macs("simple_cnn"))


@pytest.mark.parametrize("name", bundled_names())
def test_every_bundled_network_has_a_card(page, name):
    page.selectbox(key="model").set_value(name).run()
    assert metrics(page)["Parameters"] == wording.quantity(load_bundled(name).parameters)
    recipe = load_bundled(name).about["recipe"]
    assert any(f"{recipe['epochs']} epochs of SGD" in caption.value for caption in page.caption)


def test_the_widest_layer_comes_first_and_fewer_bits_lose_more_channels(page):
    cards = networks.layer_cards("simple_cnn", True)
    widest = max(cards, key=lambda layer: layer.spread).name
    assert page.selectbox(key="layer").value == widest
    lost = []
    for bits in card.BITS:
        page.select_slider(key="card_bits").set_value(bits).run()
        assert not page.exception
        lost.append(sum(networks.channel_ranges("simple_cnn", widest, int(bits), True).all_zero))
    assert lost == sorted(lost, reverse=True)


def test_public_networks_that_cannot_be_reached_say_why_and_cannot_be_fetched(page, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    networks.why_public_unreachable.clear()
    page.run()
    reason = networks.why_public_unreachable()
    networks.why_public_unreachable.clear()
    assert reason
    rows = page.dataframe[1].value
    assert list(rows["Network"]) == list(public.PUBLIC)
    assert set(rows["State"]) == {reason}
    assert page.button(key="fetch").disabled
    assert page.selectbox(key="wanted").disabled


def test_a_network_picked_here_is_the_one_that_explore_opens_with(page):
    page.selectbox(key="model").set_value("resnet20").run()
    page.switch_page("app.py").run()
    assert page.selectbox(key="model").value == "resnet20"


def test_folding_batch_norm_in_changes_the_spread_that_the_card_shows(page):
    page.selectbox(key="model").set_value("resnet20").run()
    for fold in (True, False):
        page.toggle(key="card_fold").set_value(fold).run()
        assert not page.exception
        assert list(page.dataframe[0].value["Spread"]) == [c.spread for c in networks.layer_cards("resnet20", fold)]
