"""The parts of benchmarks that need no measurement."""

from benchmarks.accuracy.lessons import lessons, specs


def test_the_lessons_compare_scales_per_tensor_with_scales_per_channel() -> None:
    accuracies = {name: dict.fromkeys(specs(name), 80.0) for name in ("mobilenetv2", "vgg", "resnet20")}
    accuracies["mobilenetv2"]["4 bits per tensor"] = 50.0
    accuracies["mobilenetv2"]["4 bits per channel"] = 70.0
    assert lessons(accuracies)[0] == (
        "mobilenetv2 at 4 bits, batch norm apart, loses 30.00 points with one scale per tensor and 10.00 with one per "
        "channel."
    )
