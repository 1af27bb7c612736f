"""Mosaics and overlaps: every weight is counted once, in the cell where it belongs."""

import pytest
import torch

from compression.inspect.mosaic import MOST_COLUMNS, MOST_ROWS, build_mosaic, build_overlap

SHAPES = [(3, 2, 3, 3), (16, 3, 3, 3), (64, 32, 3, 3), (130, 1, 3, 3), (70, 200, 3, 3), (10, 512), (2, 97), (1, 1)]


def some(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """Returns weights with zeros, more of them in the first filters than in the last."""
    generator = torch.Generator().manual_seed(seed)
    share = torch.linspace(0.1, 0.9, shape[0]).view(-1, *[1] * (len(shape) - 1))
    return torch.rand(shape, generator=generator).lt(share).float()


def test_a_small_layer_is_shown_weight_by_weight():
    mosaic = build_mosaic([torch.tensor([[1.0, 0.0, -2.0], [0.0, 0.0, 3.0]])])
    assert mosaic.nonzero == ((1, 0, 1), (0, 0, 1))
    assert mosaic.weights == ((1, 1, 1), (1, 1, 1))
    assert (mosaic.rows_per_cell, mosaic.columns_per_cell) == (1, 1)


def test_layers_are_shown_filter_by_filter_and_shorter_ones_end_earlier():
    mosaic = build_mosaic([torch.tensor([[1.0, 0.0], [0.0, 0.0], [2.0, 1.0]]), torch.tensor([[1.0], [0.0]])])
    assert mosaic.nonzero == ((1, 0, 2), (1, 0, 0))
    assert mosaic.weights == ((2, 2, 2), (1, 1, 0))


@pytest.mark.parametrize("shape", SHAPES)
def test_cells_add_up_to_the_layer_and_there_are_not_too_many(shape):
    weight = some(shape)
    mosaic = build_mosaic([weight])
    assert sum(map(sum, mosaic.nonzero)) == int(weight.count_nonzero())
    assert sum(map(sum, mosaic.weights)) == weight.numel()
    assert len(mosaic.nonzero) <= MOST_ROWS
    assert {len(row) for row in mosaic.nonzero} == {len(mosaic.nonzero[0])}
    assert len(mosaic.nonzero[0]) <= MOST_COLUMNS


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cell_counts_its_own_weights(shape):
    weight = some(shape)
    mosaic = build_mosaic([weight])
    flat = weight.flatten(1)
    for row in {0, len(mosaic.nonzero) - 1}:
        for column in {0, len(mosaic.nonzero[0]) - 1}:
            own = flat[
                row * mosaic.rows_per_cell : (row + 1) * mosaic.rows_per_cell,
                column * mosaic.columns_per_cell : (column + 1) * mosaic.columns_per_cell,
            ]
            assert mosaic.nonzero[row][column] == int(own.count_nonzero())
            assert mosaic.weights[row][column] == own.numel()


def test_a_cell_never_cuts_a_kernel():
    assert build_mosaic([some((8, 32, 3, 3))]).columns_per_cell == 9
    assert build_mosaic([some((8, 128, 3, 3))]).columns_per_cell == 18


def test_a_network_of_many_filters_adds_up_too():
    weights = [some((200, 3, 3, 3)), some((10, 200)), some((64, 1, 3, 3))]
    mosaic = build_mosaic(weights)
    assert [sum(row) for row in mosaic.nonzero] == [int(weight.count_nonzero()) for weight in weights]
    assert [sum(row) for row in mosaic.weights] == [weight.numel() for weight in weights]


def test_an_overlap_counts_which_criterion_prunes_each_weight():
    first, second = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    overlap = build_overlap([first], [second])
    assert overlap.neither == ((1, 0, 0, 0),)
    assert overlap.only_second == ((0, 1, 0, 0),)
    assert overlap.only_first == ((0, 0, 1, 0),)
    assert overlap.both == ((0, 0, 0, 1),)
    assert overlap.counts == (1, 1, 1, 1)


@pytest.mark.parametrize("shapes", [[shape] for shape in SHAPES] + [SHAPES])
def test_the_four_kinds_are_all_weights_and_agree_with_the_mosaics(shapes):
    first, second = [some(shape) for shape in shapes], [some(shape, 1) for shape in shapes]
    overlap = build_overlap(first, second)
    one, other = build_mosaic(first), build_mosaic(second)
    four = overlap.neither, overlap.only_first, overlap.only_second, overlap.both
    for row in zip(*four, one.nonzero, other.nonzero, one.weights, strict=True):
        for kept, first_alone, second_alone, taken, left_by_first, left_by_second, weights in zip(*row, strict=True):
            assert kept + first_alone + second_alone + taken == weights
            assert kept + second_alone == left_by_first
            assert kept + first_alone == left_by_second
    assert sum(overlap.counts) == sum(weight.numel() for weight in first)
