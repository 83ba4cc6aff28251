"""Whatever a metric gives becomes something that can be written down."""

import math
from collections import namedtuple
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from avalanche.evaluation.metric_results import AlternativeValues, TensorImage
from matplotlib.figure import Figure
from PIL import Image

from avalanche_hsf.logging import MetricName
from avalanche_hsf.logging.values import Description, as_json, pieces

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
ONE = [1, 1.0, True, np.float32(1), np.int64(1), np.bool_(True), np.array(1.0), Fraction(1)]
TENSORS = [
    torch.tensor(1.0),
    torch.tensor(1),
    torch.tensor(True),
    torch.ones((), requires_grad=True),
]
TYPES = [torch.bfloat16, torch.float16, torch.float64, torch.int8]


def plain(value, **options):
    return dict(pieces("name", value, **options))


@pytest.mark.parametrize("device", DEVICES)
def test_numbers(device):
    tensors = [tensor.to(device) for tensor in TENSORS]
    typed = [torch.ones((), dtype=dtype, device=device) for dtype in TYPES]
    for value in [*ONE, *tensors, *typed]:
        (number,) = plain(value).values()
        assert number == 1 and type(number) in (int, float)


def test_arrays():
    of = {"dense": torch.eye(2), "sparse": torch.eye(2).to_sparse(), "list": [[1, 0], [0, 1]]}
    of["quantized"] = torch.quantize_per_tensor(torch.eye(2), 1.0, 0, torch.quint8)
    of["conjugate"] = torch.eye(2, requires_grad=True).T.neg().neg()
    for value in of.values():
        assert np.array_equal(plain(value)["name"], np.eye(2))


def test_what_comes_apart():
    point = namedtuple("point", "x y")
    nested = {"a": {"b": 1, 2: [0.5, 1.5]}, "c": ["text", 3], "d": point(1.0, torch.tensor(2.0))}
    got = plain(nested)
    assert np.array_equal(got.pop("name/a/2"), [0.5, 1.5])
    texts = {"name/c/0": "text", "name/c/1": 3}
    assert got == {"name/a/b": 1, **texts, "name/d/0": 1.0, "name/d/1": 2.0}


def test_what_can_only_be_described():
    odd = [None, object(), 1j, torch.ones(2, device="meta"), [], {}, torch.ones(0), Decimal]
    for value in odd:
        (text,) = plain(value).values()
        assert isinstance(text, Description) and "\n" not in text, value


def test_pictures():
    figure = Figure(figsize=(2, 1), dpi=100)
    figure.subplots().plot([1, 2])
    colour = TensorImage(torch.rand(3, 4, 5) * 2)
    for value, size in (
        (figure, (200, 100)),
        (colour, (5, 4)),
        (TensorImage(torch.ones(1, 2, 3)), (3, 2)),
    ):
        image = plain(value)["name"]
        assert isinstance(image, Image.Image) and image.size == size
        assert isinstance(plain(value, pictures=False)["name"], Description)
    both = AlternativeValues(figure, torch.eye(2))
    assert np.array_equal(plain(both, pictures=False)["name"], np.eye(2))
    assert [type(v) for _, v in pieces("name", both)][1] is np.ndarray


def test_numbers_that_json_has_not():
    assert as_json([math.nan, math.inf, -math.inf, 1.5, 2]) == [
        *("NaN", "Infinity", "-Infinity"),
        *(1.5, 2),
    ]


@pytest.mark.parametrize(
    "name, parts",
    {
        "Loss_Exp/eval_phase/test_stream/Task001/Exp012": ("Loss_Exp", "eval", "test", 1, 12),
        "StreamForgetting/eval_phase/test_stream": ("StreamForgetting", "eval", "test", None, None),
        "WrittenDrift/train_phase/train_stream/Task0": (
            *("WrittenDrift/Task0", "train", "train"),
            *(None, None),
        ),
        "AMCA/test_stream/Task-01": ("AMCA", None, "test", -1, None),
        "own": ("own", None, None, None, None),
        "": ("", None, None, None, None),
    }.items(),
)
def test_names(name, parts):
    assert MetricName.parse(name) == MetricName(*parts)
