"""Grey images side by side, as arrays and as PNG."""

from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

from deis.files import whole_file

_WIDTH: Final = 1200  # pixels that an image grid may take, as far as its samples allow
_LARGEST: Final = 8
_LINE: Final = 0.85


def mosaic(tiles: NDArray[np.float32], line: int = 1) -> NDArray[np.float32]:
    """Images in [0, 1], shape (rows, columns, H, W), as one, with light lines of ``line`` pixels around each.

    >>> mosaic(np.zeros((2, 3, 8, 8), dtype=np.float32)).shape
    (19, 28)
    """
    down, across, height, width = tiles.shape
    edged = np.pad(tiles, ((0, 0), (0, 0), (line, 0), (line, 0)), constant_values=_LINE)
    joined = edged.swapaxes(1, 2).reshape(down * (height + line), across * (width + line))
    return np.pad(joined, ((0, line), (0, line)), constant_values=_LINE)


def squared(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images, shape (B, H, W), as tiles, shape (rows, columns, H, W), near a square; the last are blank.

    >>> squared(np.zeros((5, 8, 8), dtype=np.float32)).shape
    (2, 3, 8, 8)
    """
    count, height, width = images.shape
    across = int(np.ceil(np.sqrt(count)))
    down = -(-count // across)
    blank = np.full((down * across - count, height, width), _LINE, dtype=np.float32)
    return np.concatenate([images, blank]).reshape(down, across, height, width)


def image_grid(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images in [0, 1], shape (B, H, W), enlarged pixel by pixel and laid out near a square with light lines."""
    tiles = squared(images)
    scale = int(np.clip(_WIDTH // (tiles.shape[1] * (tiles.shape[3] + 1)), 1, _LARGEST))
    return mosaic(tiles.repeat(scale, axis=2).repeat(scale, axis=3), line=max(1, scale // 4))


def save_png(file: BinaryIO, image: NDArray[np.float32]) -> None:
    """Write grey levels in [0, 1] as PNG; equal images give equal bytes."""
    grey = (255 * image).round().astype(np.uint8)
    imsave(file, np.stack([grey] * 3, axis=-1), format="png")


def write_image(path: Path, image: NDArray[np.float32]) -> None:
    """Write grey levels in [0, 1] as PNG, whole or not at all."""
    with whole_file(path) as file:
        save_png(file, image)
