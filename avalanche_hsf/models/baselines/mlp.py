"""The paper's baseline."""

from __future__ import annotations

from torch import Tensor, nn

from avalanche_hsf.checks import check_layers, check_size


class MLPAutoencoder(nn.Module):
    """An autoencoder of the HSF's main sizes that knows no tasks: in-h-h-latent, latent-h-h-in.

    GELU between the layers, none after the latent or the output.

    Source: section 3.1 of the paper; sizes from the author's public code.

    Args:
        input_dim: Number of features of one sample, all dimensions but the first multiplied.
        hidden_dim: Width of the hidden layers.
        latent_dim: Width of the bottleneck.

    Example:
        >>> import torch
        >>> MLPAutoencoder(64)(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(self, input_dim: int, *, hidden_dim: int = 64, latent_dim: int = 24) -> None:
        super().__init__()
        self.input_dim = check_size("input_dim", input_dim)
        check_size("hidden_dim", hidden_dim)
        check_size("latent_dim", latent_dim)
        widths = (input_dim, hidden_dim, hidden_dim, latent_dim)
        check_layers("the autoencoder", *widths, times=2)
        self.encoder = mlp(input_dim, hidden_dim, latent_dim)
        self.decoder = mlp(latent_dim, hidden_dim, input_dim)

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of a `n x *features` tensor, in its shape."""
        return self.decoder(self.encoder(flattened(x, self.input_dim))).view(x.shape)


def mlp(n_in: int, hidden_dim: int, n_out: int) -> nn.Sequential:
    """n_in-hidden-hidden-n_out with GELU between the layers."""
    return nn.Sequential(
        nn.Linear(n_in, hidden_dim),
        nn.GELU(),
        nn.Linear(hidden_dim, hidden_dim),
        nn.GELU(),
        nn.Linear(hidden_dim, n_out),
    )


def flattened(x: Tensor, input_dim: int) -> Tensor:
    """Samples as vectors; ValueError if they have another number of features."""
    vectors = x.flatten(1)
    if vectors.shape[1] != input_dim:
        raise ValueError(f"x must have {input_dim} features per sample, got shape {tuple(x.shape)}")
    return vectors
