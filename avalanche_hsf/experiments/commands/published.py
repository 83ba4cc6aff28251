"""The paper's tables as printed: data, not results of this package.

V. Van, "Analyzing the Failure Modes of a Hypernetwork-SDE-Flow Architecture in Continual
Learning" (2025), Tables 2, 3 and 4 (Table 1 is their common heading).
"""

from __future__ import annotations

# R[i][j], the MSE on task j after training task i.
PUBLISHED_MATRICES: dict[str, list[list[float]]] = {
    "mlp-paper": [
        [0.0044],
        [0.0053, 0.0001],
        [0.0093, 0.0122, 0.0000],
        [0.0069, 0.0114, 0.0008, 0.0000],
        [0.0060, 0.0046, 0.0011, 0.0005, 0.0000],
    ],
    "hsf-paper": [
        [0.0083],
        [0.2166, 0.0090],
        [0.1267, 0.5295, 0.0035],
        [1.4147, 0.3772, 0.9962, 0.0016],
        [0.3905, 0.5956, 0.6441, 0.0926, 0.0087],
    ],
}

# The increase of the loss on T0 between the end of T0 and the end of T4.
PUBLISHED_FORGETTING_T0 = {"mlp-paper": 0.0016, "hsf-paper": 0.3822}

# "approximately 238 times more", section 3.2.
PUBLISHED_RATIO = 238
