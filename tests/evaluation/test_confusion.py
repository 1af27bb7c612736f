"""The confusion matrix, by hand."""

import plotly.graph_objects as go
import torch

from compression.data.cifar10 import CLASSES
from compression.evaluation.evaluation import Evaluation, confusion
from pages.ui.charts import style
from pages.ui.charts.accuracy import confusion_matrix

LABELS = torch.tensor([0, 0, 0, 3, 3, 9])
PREDICTIONS = torch.tensor([0, 0, 2, 3, 5, 9], dtype=torch.uint8)
EVALUATION = Evaluation(PREDICTIONS, LABELS, CLASSES, in_top5=6, loss_sum=1.0)
FLOAT = Evaluation(LABELS.to(torch.uint8), LABELS, CLASSES, in_top5=6, loss_sum=0.0)


def test_each_image_counts_in_the_cell_of_its_class_and_its_prediction() -> None:
    expected = [[0] * 10 for _ in range(10)]
    expected[0][0], expected[0][2], expected[3][3], expected[3][5], expected[9][9] = 2, 1, 1, 1, 1
    assert confusion(EVALUATION) == expected
    assert sum(confusion(EVALUATION)[place][place] for place in range(10)) == EVALUATION.correct


def test_the_chart_colours_only_mistakes_and_shows_both_networks() -> None:
    drawing = confusion_matrix(FLOAT, EVALUATION, style.ink("light")).to_dict()
    [cells] = go.Figure(drawing).data
    assert [place for place, value in enumerate(torch.tensor(cells.z).flatten().tolist()) if value] == [2, 35]
    assert cells.text[0][0] == "2"
    cat, dog = CLASSES.index("cat"), CLASSES.index("dog")
    assert cells.customdata[cat][dog] == "Class cat, predicted as dog: 1 (float network: 0)"
