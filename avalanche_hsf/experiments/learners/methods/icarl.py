"""iCaRL: exemplars, distillation, and the nearest mean of exemplars."""

from __future__ import annotations

from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.training import ICaRL
from torch import nn
from torch.optim import Optimizer

from avalanche_hsf._private.avalanche import ICaRLExemplars
from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.experiments.learners.forms import make_strategy
from avalanche_hsf.experiments.learners.mended import AllExemplars


class _NeedsClasses(SupervisedPlugin):
    """Says what stream iCaRL is for, which reads the classes of each experience off it."""

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        benchmark = getattr(strategy.experience, "benchmark", None)
        if not hasattr(benchmark, "n_classes_per_exp"):
            raise ValueError(
                "iCaRL is for streams whose experiences have classes of their own, made by "
                "Avalanche's nc_benchmark: leave net-icarl out, or take net-der"
            )


def _icarl(setting: Setting, **arguments: Any) -> ICaRL:
    network = setting.make_network()
    layers = dict(network.named_children())
    head = layers.pop("classifier", None)
    if not isinstance(network, nn.Sequential) or head is None:
        raise ValueError(
            "net-icarl needs a network that is an nn.Sequential with a last layer called "
            f"classifier, got {type(network).__name__}"
        )

    def strategy(model: nn.Module, optimizer: Optimizer, criterion: Any, **common: Any) -> ICaRL:
        icarl = ICaRL(
            feature_extractor=features,
            classifier=head,
            optimizer=optimizer,
            # Two models, the last one too, which it distils, each with class means of the size of
            # its head. The order of herding is a float.
            memory_size=setting.memory_beside(model, model, head, head, per_sample=4),
            buffer_transform=None,
            fixed_memory=True,
            **common,
        )
        here = [isinstance(plugin, ICaRLExemplars) for plugin in icarl.plugins].index(True)
        stock = icarl.plugins[here]
        icarl.plugins[here] = AllExemplars(stock.memory_size)
        return icarl

    features = nn.Sequential(*layers.values())
    # Its loss is built in: sigmoids against one-hot classes and the old model's outputs.
    return make_strategy(strategy, setting, network, first=[_NeedsClasses()], **arguments)


LEARNERS = {
    "net-icarl": Learner(
        _icarl,
        "iCaRL, its herding mended, on the stream's network with one head",
        optimizers=("AdamW",),
        regularized=False,
        group="class-incremental",
    )
}
