"""Whatever a metric gives, as something that can be written down."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from numbers import Real
from typing import Any

import numpy as np
import torch
from avalanche.evaluation.metric_results import AlternativeValues, TensorImage
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from avalanche_hsf.checks import shown

PICTURES = (Image.Image, Figure, TensorImage)


class Description(str):
    """A sentence in the place of a value that cannot be written down."""


def pieces(
    name: str, value: Any, *, pictures: bool = True, own: tuple[type, ...] = ()
) -> Iterator[tuple[str, Any]]:
    """A value as pairs of a name and a plain value.

    Plain are int, float, str, bytes, numeric `np.ndarray`, PIL images, what is `own`, and
    `Description`. Dictionaries and lists come apart as `<name>/<key>`, a list of numbers is an
    array; of alternatives come all that can be shown.

    Args:
        name: Name of the metric value.
        value: Anything.
        pictures: Whether pictures can be shown.
        own: Further types that are taken as they are.
    """
    if own and isinstance(value, own):
        yield name, value
    elif isinstance(value, AlternativeValues):
        can = [a for a in value.alternatives if pictures or not isinstance(a, PICTURES)]
        for alternative in can or value.alternatives[:1]:
            yield from pieces(name, alternative, pictures=pictures, own=own)
    elif isinstance(value, Mapping) and value:
        for key, entry in value.items():
            yield from pieces(f"{name}/{key}", entry, pictures=pictures, own=own)
    elif isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes)) and value:
        array = _as_array(list(value))
        if array is not None:
            yield name, array
        else:
            items = dict(enumerate(value))
            yield from pieces(name, items, pictures=pictures, own=own)
    else:
        yield name, _plain(value, pictures)


def as_json(value: Any) -> Any:
    """Numbers and arrays as JSON has them, NaN and infinities as text, as in Protobuf's JSON.

    >>> as_json(np.array([[0.5, float("nan")]]))
    [[0.5, 'NaN']]
    """
    if isinstance(value, np.ndarray):
        return as_json(value.tolist())
    if isinstance(value, list):
        return [as_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def as_png(image: Image.Image) -> bytes:
    """A picture as the content of a PNG file."""
    content = io.BytesIO()
    image.save(content, format="PNG")
    return content.getvalue()


def _plain(value: Any, pictures: bool) -> Any:
    if isinstance(value, (str, bytes)):
        return value
    if isinstance(value, bool) or type(value) is int or type(value) is float:
        return int(value) if isinstance(value, int) else value
    if isinstance(value, PICTURES):
        return _picture(value) if pictures else Description(f"a picture, {type(value).__name__}")
    if isinstance(value, Tensor):
        value = _from_torch(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return _from_numpy(np.asarray(value))
    if isinstance(value, Real):
        return float(value)
    return value if isinstance(value, Description) else Description(shown(value))


def _from_torch(tensor: Tensor) -> Any:
    if tensor.is_meta:
        return Description(f"a tensor without values, of shape {tuple(tensor.shape)}")
    tensor = tensor.detach().cpu()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.dtype.is_floating_point and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()  # NumPy has no bfloat16
    return tensor.resolve_conj().resolve_neg().numpy()


def _from_numpy(array: np.ndarray) -> Any:
    if array.dtype.kind not in "biuf":
        return str(array) if array.dtype.kind == "U" and not array.ndim else _described(array)
    if array.dtype.kind == "b":
        array = array.astype(np.int64)
    if array.ndim == 0:
        return int(array) if array.dtype.kind in "iu" else float(array)
    return array if array.size else _described(array)


def _described(array: np.ndarray) -> Description:
    if array.size == 0:
        return Description(f"an empty array of shape {array.shape}")
    return Description(shown(array))


def _as_array(values: list[Any]) -> np.ndarray | None:
    """A list of numbers, or of equally long lists of them, as an array; None if it is another."""
    if not _are_numbers(values):
        return None
    try:
        array = np.array(values)
    except (ValueError, TypeError, OverflowError):  # of unequal length
        return None
    return _from_numpy(array) if array.dtype.kind in "biuf" and array.size else None


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(
        _are_numbers(each) if isinstance(each, (list, tuple)) else isinstance(each, Real)
        for each in values
    )


def _picture(value: Any) -> Image.Image:
    if isinstance(value, Figure):
        content = io.BytesIO()
        value.savefig(content, format="png")
        pyplot.close(value)  # else pyplot keeps each; other loggers can draw it all the same
        value = Image.open(content)
    elif isinstance(value, TensorImage):
        image = torch.as_tensor(_from_torch(value.image))
        if image.is_floating_point():
            image = image.clamp(0, 1).nan_to_num() * 255
        image = image.to(torch.uint8)
        image = image[0] if image.dim() == 3 and len(image) == 1 else image
        value = Image.fromarray((image.movedim(0, -1) if image.dim() == 3 else image).numpy())
    if value.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        value = value.convert("RGB")  # as PNG has none of the others
    value.load()
    return value
