"""Where a model's noise comes from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_int
from avalanche_hsf.seeds import resolve_seed


class SeededNoise(nn.Module):
    """Random generators of a model's own, one for training and one for evaluation.

    Independent of the global generators of torch and numpy; and because evaluation draws from
    its own, how often a run is evaluated does not change what it learns. Their states are part
    of `state_dict`, so a model that is saved and loaded goes on with the same noise.

    While `silent` is set, the model is to run without noise and draws none.

    Args:
        seed: An integer of at least 0; if None it is drawn from torch's global generator.
        stream: Sets apart several sources that share a seed, 0 to 127.

    Example:
        >>> a, b = (torch.randn(3, generator=SeededNoise(7).generator("cpu")) for _ in range(2))
        >>> torch.equal(a, b)
        True
    """

    def __init__(self, seed: int | None = None, *, stream: int = 0) -> None:
        super().__init__()
        self.silent = False
        self.seed = resolve_seed(seed)
        self.stream = check_int("stream", stream, at_least=0, at_most=127)
        self._generators = self._seeded(torch.device("cpu"))

    def generator(self, device: torch.device | str) -> torch.Generator:
        """The generator of the present mode. On a new device the sequences start anew."""
        if self._generators[0].device.type != torch.device(device).type:
            self._generators = self._seeded(torch.device(device))
        return self._generators[0 if self.training else 1]

    def _seeded(self, device: torch.device) -> list[torch.Generator]:
        first = 256 * self.seed + 2 * self.stream
        return [torch.Generator(device).manual_seed(first + mode) for mode in range(2)]

    def get_extra_state(self) -> Tensor:
        return torch.stack([generator.get_state() for generator in self._generators])

    def set_extra_state(self, state: Tensor) -> None:
        # A state of another length was saved on another kind of device: start anew there.
        if state.shape[1] == len(self._generators[0].get_state()):
            for generator, stored in zip(self._generators, state, strict=True):
                # A clone, since torch 2.15 misreads, and can crash on, a view into a larger tensor.
                generator.set_state(stored.cpu().clone())
