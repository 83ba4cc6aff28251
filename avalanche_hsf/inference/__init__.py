"""Which task a sample belongs to, told from the sample alone."""

from avalanche_hsf.inference.class_incremental import ClassIncremental
from avalanche_hsf.inference.classifying import AgreementScore, EntropyScore
from avalanche_hsf.inference.recognizer import TaskRecognizer
from avalanche_hsf.inference.scores import (
    JointScore,
    LikelihoodScore,
    PrototypeScore,
    ReconstructionScore,
    Score,
)
from avalanche_hsf.inference.subspace import SubspaceScore

__all__ = [
    "AgreementScore",
    "ClassIncremental",
    "EntropyScore",
    "JointScore",
    "LikelihoodScore",
    "PrototypeScore",
    "ReconstructionScore",
    "Score",
    "SubspaceScore",
    "TaskRecognizer",
]
