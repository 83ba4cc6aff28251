"""Figures and images among metrics: kept as the picture that they show."""

from __future__ import annotations

import io
from typing import Any
from weakref import WeakKeyDictionary

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

PICTURES = (Figure, Image.Image)

_drawn: WeakKeyDictionary[Figure, tuple[Any, Tensor]] = WeakKeyDictionary()
"""What figures showed when they were last looked at: drawing takes a tenth of a second."""


def picture_of(value: Figure | Image.Image) -> tuple[Tensor, list[float] | None]:
    """A PNG, and of a figure its size in inches and dots per inch.

    Raises:
        OSError: The image is of a mode that PNG has not.
    """
    if isinstance(value, Image.Image):
        return _png(value.save, format="png"), None
    size = [*map(float, value.get_size_inches()), float(value.dpi)]
    parts = value.get_children()
    seen = (size, [id(part) for part in parts])
    before, picture = _drawn.get(value, (None, None))
    if picture is None or before != seen or any(part.stale for part in parts):
        with matplotlib.rc_context({"savefig.bbox": "standard"}):
            picture = _png(value.savefig, format="png", dpi="figure")
        _drawn[value] = seen, picture
    return picture, size


def shown_as(picture: Tensor, size: list[float] | None) -> Figure | Image.Image:
    """The image, or a figure that shows it dot by dot."""
    image = Image.open(io.BytesIO(picture.numpy().tobytes()), formats=["PNG"]).copy()
    if size is None:
        return image
    figure = Figure(figsize=(size[0], size[1]), dpi=size[2], facecolor="none")
    figure.figimage(np.asarray(image))
    return figure


def _png(save: Any, **options: Any) -> Tensor:
    buffer = io.BytesIO()
    save(buffer, **options)
    return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
