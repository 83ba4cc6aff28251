"""What a HypernetSDEFlow runs for one task, without tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from avalanche_hsf.models.hsf import HypernetSDEFlow

if TYPE_CHECKING:
    from avalanche_hsf.models.sde import NeuralSDE


class HSFNetwork(nn.Module):
    """Encoder, two SDEs and decoder, see `HypernetSDEFlow`; made by `export_task`.

    The flow has no part in the output, and is not here. A pass draws noise from `noise`.

    Args:
        model: Whose parts it shares.
    """

    def __init__(self, model: HypernetSDEFlow) -> None:
        super().__init__()
        self.reconstructs = model.reconstructs
        self.noise = model.noise
        self.encoder, self.encoder_sde = model.encoder, model.encoder_sde
        self.decoder_sde, self.decoder = model.decoder_sde, model.decoder

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of a `n x *features` tensor, or the output, `n x output_dim`."""
        z0 = self.encoder(x.flatten(1))
        z_T = self._solve(self.encoder_sde, z0)
        out: Tensor = self.decoder(self._solve(self.decoder_sde, z_T))
        return out.view(x.shape) if self.reconstructs else out

    def _solve(self, sde: NeuralSDE, z: Tensor) -> Tensor:
        generator = self.noise.generator(z.device)
        return sde(z, sde.draw_noise(len(z), generator, silent=self.noise.silent))
