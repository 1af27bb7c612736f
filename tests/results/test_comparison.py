"""Comparison of networks on ten images that can be counted by hand, and the report."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
import torch

from compression.data.cifar10 import CLASSES
from compression.evaluation.evaluation import Evaluation, flips
from compression.evaluation.multiplicity import holm
from compression.results.comparison import class_changes, comparison_table, p_values
from compression.results.costs import Costs
from compression.results.result import Result
from compression.spec import CompressionSpec, PruneSpec, QuantSpec
from pages.ui.tradeoffs import report
from pages.ui.tradeoffs.comparison_tables import chance_in_words, classes, matrix, numbers

LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
COSTS = Costs(1000, 500, 4000, 1000, 800, 700, 900, 5000, 80000)
SPECS = (CompressionSpec("net"), CompressionSpec("net", weights=QuantSpec(4)), CompressionSpec("<b>", PruneSpec(0.1)))


def result(spec: CompressionSpec, wrong: list[int], file: int = 900) -> Result:
    predictions = LABELS.clone()
    predictions[wrong] = 9
    return Result(spec, replace(COSTS, file=file), Evaluation(predictions.to(torch.uint8), LABELS, CLASSES, 10, 1.0))


RESULTS = [result(SPECS[0], [0]), result(SPECS[1], [1, 2, 4], 500), result(SPECS[2], [], 100)]
BEFORE = {"net": RESULTS[0].evaluation}


def test_class_changes_are_those_of_their_images():
    assert class_changes(RESULTS[0].evaluation, RESULTS[1].evaluation) == {
        "airplane": pytest.approx(-1 / 4),
        "automobile": pytest.approx(-1 / 4),
        "bird": 0.0,
    }


def test_p_values_are_those_of_mcnemars_test_for_each_pair_after_holms_correction():
    matrix_of_p = p_values(RESULTS)
    assert [row[i] for i, row in enumerate(matrix_of_p)] == [1, 1, 1]
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = holm([flips(RESULTS[i].evaluation, RESULTS[j].evaluation).p for i, j in pairs])
    assert [matrix_of_p[i][j] for i, j in pairs] == [matrix_of_p[j][i] for i, j in pairs] == expected
    assert matrix_of_p[1][2] == pytest.approx(3 * 0.125)  # three to none, (1/2)^3, and the smallest of three


def test_two_results_need_no_correction():
    assert p_values(RESULTS[1:])[0][1] == pytest.approx(0.125)
    assert p_values(RESULTS[:1]) == [[1]]


def test_the_table_has_the_changes_of_the_classes_where_float_is_known():
    rows = comparison_table(RESULTS, BEFORE)
    assert rows["change_airplane"][1] == pytest.approx(-0.25)
    assert rows["change_airplane"].isna().tolist() == [False, False, True]
    assert rows["file_bytes"].tolist() == [900, 500, 100]
    assert rows["accuracy"].tolist() == [0.9, 0.7, 1.0]


def test_the_figures_of_the_page_are_given_in_words():
    rows = numbers(RESULTS, BEFORE)
    assert rows["Against float"].tolist() == ["0.0 points", "-20.0 points", ""]
    assert rows["Spec"].tolist() == ["float", "4 bits", "threshold 0.1"]
    assert matrix(RESULTS).loc["2", "3"] == "0.38"
    assert classes(RESULTS[:2], BEFORE).loc["2", "airplane"] == "-25.0"


def test_the_report_is_self_contained_and_escapes_names():
    page = report.html(RESULTS, BEFORE)
    assert "http" not in page
    assert "src=" not in page
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    tree = ET.fromstring(page.removeprefix("<!doctype html>\n").replace('<meta charset="utf-8">', ""))
    circles = [each for each in tree.iter() if each.tag == "circle"]
    assert len(circles) == len(RESULTS)
    across = [float(circle.get("cx")) for circle in circles]
    heights = [float(circle.get("cy")) for circle in circles]
    assert across == sorted(across, reverse=True)  # bytes fall
    assert heights[2] < heights[0] < heights[1]  # the most accurate is on top
    assert "90.00" in page
    assert "corrected by Holm's method for all 3 pairs" in page
    assert "McNemar" not in report.html(RESULTS[:1], BEFORE)
    assert "Holm" not in chance_in_words(2)


def test_one_network_alone_is_drawn():
    assert report.drawing(RESULTS[:1]).count("<circle") == 1
