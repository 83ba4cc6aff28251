"""Which layer gives out the scores."""

import pytest
import torch
from torch import nn

from avalanche_hsf.forensics.head import find_head


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.fc = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.attention(x, x, x)[0].mean(dim=1))


@pytest.mark.parametrize("make", [Recurrent, Attention])
def test_layers_that_return_tuples_are_passed_over(make):
    x, y = torch.randn(8, 5, 4), torch.arange(8) % 3
    assert find_head(make(), (x, y, torch.zeros(8, dtype=torch.long))) == ["fc"]


def test_what_ends_in_such_a_layer_has_no_head():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lstm = nn.Linear(4, 4), nn.LSTM(4, 3, batch_first=True)

        def forward(self, x):
            return self.lstm(self.fc(x))[0][:, -1]

    x, y = torch.randn(8, 5, 4), torch.arange(8) % 3
    assert find_head(Last(), (x, y, torch.zeros(8, dtype=torch.long))) == []
