"""Logging: Avalanche loggers that take any metric value, to files, MLflow and Weights & Biases."""

from avalanche_hsf.logging.base import MetricLogger
from avalanche_hsf.logging.compact_logger import CompactLogger
from avalanche_hsf.logging.csv_logger import TidyCSVLogger
from avalanche_hsf.logging.jsonl_logger import JSONLinesLogger
from avalanche_hsf.logging.mlflow_logger import MLflowLogger
from avalanche_hsf.logging.names import MetricName
from avalanche_hsf.logging.wandb_logger import WandBLogger

__all__ = [
    "CompactLogger",
    "JSONLinesLogger",
    "MLflowLogger",
    "MetricLogger",
    "MetricName",
    "TidyCSVLogger",
    "WandBLogger",
]
