"""The file of a checkpoint: written whole or not at all, and read without running anything.

A line with the format's name and version, a line with the SHA-256 digest of the rest, then a file
of safetensors: the tensors under their numbers, each once, and as metadata what is not tensors, in
JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.whole import write_whole

SUFFIX = ".checkpoint"
VERSION = 1
_MAGIC = b"avalanche-hsf checkpoint "


def write(path: Path, content: Any, tensors: Sequence[Tensor]) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
        path: The file; its folder exists.
        content: What JSON can hold, without NaN.
        tensors: On the CPU.

    Raises:
        OSError: It cannot be written; what was there is untouched.
    """
    each, places = _each_once(tensors)
    complexes = [i for i, tensor in enumerate(each) if tensor.is_complex()]
    told = {"complex": complexes, "places": places, "content": content}
    body = safetensors.torch.save(
        {str(i): _without_complex(tensor) for i, tensor in enumerate(each)},
        {"content": json.dumps(told, allow_nan=False)},
    )
    digest = hashlib.sha256(body).hexdigest()
    write_whole(path, _MAGIC + f"{VERSION}\n{digest}\n".encode() + body)


def read(path: Path) -> tuple[Any, list[Tensor]]:
    """Content and tensors of a checkpoint.

    Raises:
        CheckpointError: It is not one, damaged, or of another version; says which.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data.startswith(_MAGIC):
        raise CheckpointError(f"{path} is no checkpoint of avalanche-hsf")
    head, _, rest = data.removeprefix(_MAGIC).partition(b"\n")
    if head != str(VERSION).encode():
        version = head[:8].decode(errors="replace")
        raise CheckpointError(f"{path} has format {version}, this version reads {VERSION}")
    digest, _, body = rest.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise CheckpointError(
            f"{path} is damaged or cut short: its digest does not fit what is in it"
        )
    try:
        named = safetensors.torch.load(body)
        length = int.from_bytes(body[:8], "little")
        content = json.loads(json.loads(body[8 : 8 + length])["__metadata__"]["content"])
        complexes, places = content["complex"], content.get("places", range(len(named)))
        content = content["content"]
        each = [named[str(i)] for i in range(len(named))]
        each = [torch.view_as_complex(t) if i in complexes else t for i, t in enumerate(each)]
        tensors = [each[i] for i in places]
    except (LookupError, ValueError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is no checkpoint of avalanche-hsf: {error}") from error
    return content, tensors


def _each_once(tensors: Sequence[Tensor]) -> tuple[list[Tensor], list[int]]:
    """The different ones, and the place of each among them.

    Two states of one experience have much in common: memories, and models of earlier experiences.
    """
    each: list[Tensor] = []
    places: dict[Any, int] = {}
    found = []
    for tensor in tensors:
        plain = _without_complex(tensor).contiguous().flatten().view(torch.uint8)
        print = hashlib.sha256(plain.numpy().tobytes()).digest()
        place = places.setdefault((tensor.dtype, tensor.shape, print), len(each))
        if place == len(each):
            each.append(tensor)
        found.append(place)
    return each, found


def _without_complex(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
