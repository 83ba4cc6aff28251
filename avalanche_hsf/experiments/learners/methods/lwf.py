"""Learning without forgetting."""

from functools import partial

from avalanche.training import LwF

from avalanche_hsf.experiments.learners.forms import grid, make_strategy, on_networks

_lwf = partial(make_strategy, LwF, temperature=2.0)

LEARNERS = on_networks("lwf", _lwf, "LwF", grid("alpha", 0.3, 1.0, 3.0))
