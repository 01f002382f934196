"""INT4 rounding in groups, as the AWQ format stores it: one grid for training and export."""

import torch

GROUP = 128
LEVELS = 15


def grid(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and zero point of each group of 128 inputs.

    `weight` is (outputs, inputs); both results are (outputs, inputs / 128, 1), the scale
    rounded to fp16 as it will be stored, the zero point a whole number from 0 to 15.
    """
    grouped = weight.reshape(weight.shape[0], -1, GROUP)
    low = grouped.amin(-1, keepdim=True).clamp(max=0)
    high = grouped.amax(-1, keepdim=True).clamp(min=0)
    scale = ((high - low) / LEVELS).clamp(min=1e-5).half().to(weight.dtype)
    zero = (-low / scale).round().clamp(0, LEVELS)
    return scale, zero


def to_levels(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The INT4 levels (outputs, inputs) of `weight`, with their scale and zero point."""
    scale, zero = grid(weight)
    grouped = weight.reshape(weight.shape[0], -1, GROUP)
    levels = (grouped / scale + zero).round().clamp(0, LEVELS)
    return levels.reshape(weight.shape), scale, zero


def rounded(weight: torch.Tensor) -> torch.Tensor:
    """`weight` as it will be after a trip through INT4."""
    levels, scale, zero = to_levels(weight)
    grouped = levels.reshape(weight.shape[0], -1, GROUP)
    return ((grouped - zero) * scale).reshape(weight.shape)


class RoundedToInt4(torch.nn.Module):
    """A parametrization: forward rounded, backward as if it were not."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + (rounded(weight) - weight).detach()
