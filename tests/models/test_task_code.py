"""TaskCode: what a finished task keeps."""

import pytest
import torch

from avalanche_hsf.models.hypernetworks.code import TaskCode


@pytest.mark.parametrize("bits", [None, 2, 3, 7, 8, 11, 12, 16])
def test_a_code_is_rounded_to_the_grid_and_no_further(bits):
    start = {"A": torch.randn(5, 3), "b": 100 * torch.randn(7), "zero": torch.zeros(2, 2)}
    code = TaskCode(start, bits=bits)
    assert not list(code.parameters())
    for name, value in code.values().items():
        assert value.shape == start[name].shape
        step = start[name].abs().max() / (2 ** (bits - 1) - 1) if bits else 0.0
        assert float((value - start[name]).abs().max()) <= 0.5001 * float(step) + 1e-30
    if bits:
        assert code.kept.dtype == torch.uint8
        assert code.kept.numel() == -(-26 * bits // 8)  # not a byte more than needed
    # What was rounded once stays as it is, however often it is opened and closed.
    again = TaskCode(code.values(), bits=bits).values()
    assert all(
        torch.allclose(again[name], value, rtol=1e-6) for name, value in code.values().items()
    )
