"""The bottleneck adapter block (Houlsby et al., 2019), as the paper compares it; also an expert of the
mixtures.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .method import init_like_paper


class BottleneckAdapter(nn.Module):
    """Linear d -> r, GELU, Linear r -> d; both start from N(0, 0.02), so the output is small but not zero.

    Args:
        hidden_size: Token width d.
        bottleneck: Width r inside.
    """

    def __init__(self, hidden_size: int, bottleneck: int) -> None:
        super().__init__()
        self.linear_downsample = nn.Linear(hidden_size, bottleneck)
        self.linear_upsample = nn.Linear(bottleneck, hidden_size)
        init_like_paper(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [..., d] to [..., d]."""
        return self.linear_upsample(F.gelu(self.linear_downsample(x)))  # type: ignore[no-any-return]
