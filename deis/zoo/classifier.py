"""A small classifier of 8 by 8 digits; its penultimate layer serves as the space of a Frechet distance."""

from typing import Final

from torch import Tensor, nn

FEATURES: Final = 32


class DigitsClassifier(nn.Module):
    """Three convolutions and two linear layers, smooth throughout; parameters float32 or float64."""

    def __init__(self, channels: int = 32, dropout: float = 0.2) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(1, channels, stride=1),
            *_convolution(channels, 2 * channels, stride=2),
            *_convolution(2 * channels, 2 * channels, stride=1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * channels * 4 * 4, FEATURES),
            nn.SiLU(),
        )
        self.head = nn.Linear(FEATURES, 10)

    def features(self, x: Tensor) -> Tensor:
        """The penultimate layer, (B, 32), of images (B, 1, 8, 8) in [-1, 1]."""
        features: Tensor = self.body(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the ten digits, (B, 10), of images (B, 1, 8, 8) in [-1, 1]."""
        logits: Tensor = self.head(self.features(x))
        return logits


def _convolution(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.GroupNorm(8, outputs), nn.SiLU()
