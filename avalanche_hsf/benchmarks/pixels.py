"""Images of which every pixel is moved, made when they are read."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset


class PermutedPixels(Dataset[tuple[Tensor, Tensor]]):
    """Images and classes, the pixels of each image in another order.

    The images are kept once, as bytes, however many permutations there are of them: ten tasks of
    60,000 images of 32 x 32 as float32 would take 2.4 GB.

    Args:
        images: A `n x height x width` tensor of bytes.
        classes: A tensor of n integers.
        order: Of the `height * width` pixels: pixel k is the original's pixel `order[k]`.

    Example:
        >>> images, classes = torch.tensor([[[0, 255]]], dtype=torch.uint8), torch.tensor([3])
        >>> PermutedPixels(images, classes, torch.tensor([1, 0]))[0]
        (tensor([[[1., 0.]]]), tensor(3))
    """

    def __init__(self, images: Tensor, classes: Tensor, order: Tensor) -> None:
        self.images, self.classes, self.order = images, classes, order

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} images, none at {index}")
        x, y = self.rows(torch.tensor([index % len(self)]))
        return x[0], y[0]

    def rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """x, float32 in [0, 1] of shape `n x 1 x height x width`, and y of some images at once."""
        images = self.images.index_select(0, rows)
        # numpy takes half as long as torch to move columns of bytes.
        moved = torch.from_numpy(np.take(images.flatten(1).numpy(), self.order.numpy(), axis=1))
        x = moved.view(len(rows), 1, *images.shape[1:]).float().div_(255)
        return x, self.classes.index_select(0, rows)
