"""Strategies of Avalanche that are not compared, and what stands against them.

Every strategy of Avalanche 0.6 is either the base of a learner or here.
"""

from __future__ import annotations

UNSOUND: dict[str, str] = {
    "AETraining": "0.6.0 asks the model for a feature_module and compares its sigmoid: raises",
    "AR1": "0.6.0 is built on a pretrained MobileNet for images, which it downloads",
    "BiC": "0.6.0 corrects the bias of class scores and reads class targets: raises",
    "CWRStar": "0.6.0 consolidates one output row per class and reads class targets: raises",
    "CoPE": "0.6.0 keeps one prototype per class: raises on vector targets",
    "DER": "0.6.0 has cross entropy built in and reads class targets: raises",
    "ER_ACE": "0.6.0 has cross entropy built in and a class-balanced memory: raises",
    "ER_AML": "0.6.0 has cross entropy built in and a class-balanced memory: raises",
    "ExpertGateStrategy": "0.6.0 wants its own model of AlexNet experts for images",
    "FeatureReplay": "0.6.0 has cross entropy built in and a class-balanced memory: raises",
    "GSS_greedy": "0.6.0 keeps targets as one integer each: raises on vector targets",
    "GenerativeReplay": "0.6.0 labels replayed samples with an argmax: raises on vector targets",
    "ICaRL": "0.6.0 classifies by nearest class means and asks for class lists: raises",
    "LaMAML": "0.6.0 keeps targets as one integer each: raises on vector targets",
    "LearningToPrompt": "0.6.0 learns prompts of a pretrained vision transformer",
    "LwF": "0.6.0 distils a softmax over the classes seen and reads class targets: raises",
    "MER": "0.6.0 keeps targets as one integer each: raises on vector targets",
    "MIR": "0.6.0 has a class-balanced memory: raises; and sorts a loss that it takes for 1-d",
    "PNNStrategy": "0.6.0 wants a PNN, which grows class heads: raises without classes",
    "SCR": "0.6.0 contrasts classes and wants its own model: raises",
    "StreamingLDA": "0.6.0 updates one mean per class on fixed features",
    "SynapticIntelligence": "0.6.0 has importances of exactly 0 on a CPU, so it is Naive: its "
    "copy of the weights from before a step is a view of them",
    "VAETraining": "0.6.0 is Naive with the loss of a variational autoencoder: raises on others",
    "mlp-task-lfl": "0.6.0 gives get_features no task labels, which the task-aware form needs",
}
"""The reason by name, on streams whose target is the input."""
