"""What a pass through a Hypernet-SDE-Flow gives."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from avalanche_hsf.models.written import Written


class HSFOutput(NamedTuple):
    """What one pass through `HypernetSDEFlow` computes, for a batch of n samples.

    Attributes:
        reconstruction: In the shape of x; with an `output_dim`, `n x output_dim` instead.
        z0: The encoder's output, `n x latent_dim`.
        z_T: z0 after the first SDE, `n x latent_dim`.
        written: The weights of the pass, which further methods take in place of task labels.
    """

    reconstruction: Tensor
    z0: Tensor
    z_T: Tensor
    written: Written
