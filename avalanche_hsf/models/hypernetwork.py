"""Networks that write the weights of another network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from torch import Tensor, nn

from avalanche_hsf.checks import check_int


class HyperNetwork(nn.Module):
    r"""Writes every named tensor of a main network from a task embedding.

    theta_name(e) = V ReLU(U e + a) + c, with U, a, V, c of its own for each name.

    It knows nothing of the main network but the names and shapes of what it writes.

    Source: Ha et al. 2016, https://arxiv.org/abs/1609.09106; section 2.2 of the paper.

    Args:
        embedding_dim: Size of a task embedding.
        shapes: Name and shape of each tensor to write.
        hidden_dims: Hidden width of the generator of each name, the same names as `shapes`.

    Raises:
        ValueError: The names of `shapes` and `hidden_dims` differ.

    Example:
        >>> import torch
        >>> hypernetwork = HyperNetwork(16, {"weight": (64, 3)}, hidden_dims={"weight": 52})
        >>> hypernetwork(torch.zeros(2, 16))["weight"].shape
        torch.Size([2, 64, 3])
    """

    def __init__(
        self,
        embedding_dim: int,
        shapes: Mapping[str, Sequence[int]],
        *,
        hidden_dims: Mapping[str, int],
    ) -> None:
        super().__init__()
        check_int("embedding_dim", embedding_dim, at_least=1)
        if set(shapes) != set(hidden_dims):
            raise ValueError(
                "shapes and hidden_dims must have the same names, got "
                f"{sorted(shapes)} and {sorted(hidden_dims)}"
            )
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.generators = nn.ModuleList(
            nn.Sequential(
                nn.Linear(embedding_dim, hidden_dims[name]),
                nn.ReLU(),
                nn.Linear(hidden_dims[name], prod(shape)),
            )
            for name, shape in self.shapes.items()
        )

    def forward(self, e: Tensor, prefix: str = "") -> dict[str, Tensor]:
        """Writes the weights of k tasks.

        Args:
            e: A `k x embedding_dim` tensor of task embeddings.
            prefix: Write only the tensors whose name begins so.

        Returns:
            For each name a `k x *shape` tensor.
        """
        return {
            name: generator(e).view(-1, *shape)
            for (name, shape), generator in zip(self.shapes.items(), self.generators, strict=True)
            if name.startswith(prefix)
        }


def linear_shapes(layers: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights and biases of linear layers.

    Args:
        layers: (in_features, out_features) of each layer by its name.

    Example:
        >>> linear_shapes({"encoder_1": (3, 64)})
        {'encoder_1.weight': (64, 3), 'encoder_1.bias': (64,)}
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (n_in, n_out) in layers.items():
        shapes[f"{name}.weight"] = (n_out, n_in)
        shapes[f"{name}.bias"] = (n_out,)
    return shapes


def paper_hidden_dims(embedding_dim: int, layers: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Hidden widths of the author's hypernetworks, for the names of `linear_shapes`.

    The generator of a weight has h = (embedding_dim + in * out) // 4 hidden units, that of the
    bias of the same layer h // 2. So a hypernetwork is larger than what it writes, by far.

    Example:
        >>> paper_hidden_dims(16, {"encoder_1": (3, 64)})
        {'encoder_1.weight': 52, 'encoder_1.bias': 26}
    """
    hidden_dims = {}
    for name, (n_in, n_out) in layers.items():
        h = (embedding_dim + n_in * n_out) // 4
        hidden_dims[f"{name}.weight"] = max(h, 1)
        hidden_dims[f"{name}.bias"] = max(h // 2, 1)
    return hidden_dims
