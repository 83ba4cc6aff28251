"""The networks that learners train, each for one task."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from avalanche_hsf.experiments.learners import Setting


def _sequential(**layers: nn.Module) -> nn.Module:
    return nn.Sequential(OrderedDict(layers))


def mlp(setting: Setting) -> nn.Module:
    """Two hidden layers of 100 with ReLU, for any stream of vectors."""
    return _mlp_of(setting, 100)


def _mlp_of(setting: Setting, width: int) -> nn.Module:
    return _sequential(
        flatten=nn.Flatten(),
        hidden_1=nn.Linear(setting.input_dim, width),
        relu_1=nn.ReLU(),
        hidden_2=nn.Linear(width, width),
        relu_2=nn.ReLU(),
        classifier=nn.Linear(width, setting.output_dim),
    )


def sigmoid_mlp(setting: Setting) -> nn.Module:
    """1-10-10-1, the network of the published polynomials."""
    return _sequential(
        hidden_1=nn.Linear(1, 10),
        sigmoid_1=nn.Sigmoid(),
        hidden_2=nn.Linear(10, 10),
        sigmoid_2=nn.Sigmoid(),
        classifier=nn.Linear(10, 1),
    )


def split_mlp(setting: Setting) -> nn.Module:
    """784-400-400-10 with ReLU, the network of the published SplitMNIST."""
    return _mlp_of(setting, 400)


def permuted_mlp(setting: Setting) -> nn.Module:
    """1024-1000-1000-10 with ReLU, the network of the published PermutedMNIST."""
    return _mlp_of(setting, 1000)


def digits_cnn(setting: Setting) -> nn.Module:
    """1 x 8 x 8 to ten classes."""
    return _sequential(
        convolution_1=nn.Conv2d(1, 16, 3, padding=1),
        relu_1=nn.ReLU(),
        pool=nn.MaxPool2d(2),
        convolution_2=nn.Conv2d(16, 32, 3, padding=1),
        relu_2=nn.ReLU(),
        flatten=nn.Flatten(),
        classifier=nn.Linear(512, 10),
    )


def image_cnn(setting: Setting) -> nn.Module:
    """3 x 32 x 32 to ten classes, 98,114 parameters."""
    blocks: dict[str, nn.Module] = {}
    for k, (n_in, n_out) in enumerate(((3, 16), (16, 32), (32, 64))):
        blocks[f"convolution_{k}"] = nn.Conv2d(n_in, n_out, 3, padding=1)
        blocks[f"relu_{k}"] = nn.ReLU()
        blocks[f"pool_{k}"] = nn.MaxPool2d(2)
    return _sequential(
        **blocks,
        flatten=nn.Flatten(),
        hidden=nn.Linear(1024, 72),
        relu=nn.ReLU(),
        classifier=nn.Linear(72, 10),
    )
