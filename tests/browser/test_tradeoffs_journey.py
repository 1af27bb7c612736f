"""Trade-offs in a real browser: a point is clicked, pinned and opened; a sweep of one spec appears; a link says it."""

import re

from playwright.sync_api import Page, expect

from tests.browser.test_journeys import SECONDS_90, metric

MODEL = "simple_cnn"


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def test_a_sweep_a_click_a_pin_and_explore(page, page_of, server, test_images):
    page.goto(f"{server}/tradeoffs?model={MODEL}&view=Sweep")
    main = page.get_by_test_id("stMainBlockContainer")
    for label in ("Bits per weight", "Sparsities"):
        box = main.get_by_role("combobox", name=re.compile(label))
        expect(box).to_be_enabled(timeout=SECONDS_90)
        box.locator("xpath=ancestor::*[@data-testid='stMultiSelect']").get_by_role("button", name="Clear all").click()
    bits = main.get_by_role("combobox", name=re.compile("Bits per weight"))
    bits.fill("7")
    bits.press("Enter")
    bits.press("Escape")
    sparsities = main.get_by_role("combobox", name=re.compile("Sparsities"))
    sparsities.fill("45")
    sparsities.press("Enter")
    sparsities.press("Escape")
    measure = main.get_by_role("button", name="Measure")
    expect(main.get_by_text("not measured yet").or_(main.get_by_text("none measured yet"))).to_be_visible()
    measure.click()
    expect(main.get_by_text(re.compile("all measured"))).to_be_visible(timeout=2 * SECONDS_90)
    tab(page, "Front")
    points = page.locator(
        ".js-plotly-plot .scatterlayer path.point:not([d='M0,0Z'])"
    )  # an arrow begins with an empty mark
    expect(points.first).to_be_visible()
    points.first.click(force=True)  # what lies above it takes the click, and gives it on
    expect(main.get_by_text("clicked", exact=True)).to_be_visible()
    main.get_by_role("button", name="Pin", exact=True).click()
    expect(page).to_have_url(re.compile("pins=simple_cnn"))
    tab(page, "Compare")
    expect(main.get_by_role("button", name="Report (HTML)")).to_be_visible()
    with page.expect_download() as download:
        main.get_by_role("button", name="Report (HTML)").click()
    assert "<svg" in download.value.path().read_text()
    other = page_of()
    other.goto(page.url)
    expect(other.get_by_role("button", name="Report (HTML)")).to_be_visible()
    tab(page, "Front")
    row = main.get_by_text(re.compile(rf"^{MODEL}, .* bytes")).inner_text()
    main.get_by_role("link", name="Open in Explore").click()
    (accuracy,) = re.findall(r": ([\d.]+\s%)", row)
    expect(metric(page, "Accuracy")).to_have_text(accuracy, timeout=SECONDS_90)
