"""The Conformer adapter block of Cappellazzo et al., MLSP 2024 (section "Conformer adapter")."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ConformerAdapter(nn.Module):
    """Convolution module of a Conformer, narrowed to `bottleneck` channels r.

    Pointwise d -> 2r, GLU, depthwise over tokens (kernel k), BatchNorm, SiLU, pointwise r -> d, dropout.

    The paper's block also computes a LayerNorm(d) whose result it throws away. It is owned here, for its
    parameters are part of the published count, but never run: it gets no gradient and costs nothing.

    Weights start from PyTorch's defaults, so the output is not zero at the start; this too is the paper's.

    Args:
        hidden_size: Token width d.
        bottleneck: Channels r inside, d / reduction rate.
        kernel_size: Tokens k that the depthwise convolution sees; an even k looks one token further to the
        right.
        dropout: Probability, behind the last convolution.
    """

    def __init__(self, hidden_size: int, bottleneck: int, kernel_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.lnorm = nn.LayerNorm(hidden_size)
        self.pwise_conv1 = nn.Conv1d(hidden_size, 2 * bottleneck, kernel_size=1)
        self.dwise_conv = nn.Conv1d(
            bottleneck, bottleneck, kernel_size, groups=bottleneck, padding=kernel_size // 2
        )
        self.bnorm = nn.BatchNorm1d(bottleneck)
        self.pwise_conv2 = nn.Conv1d(bottleneck, hidden_size, kernel_size=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [B, N, d] to [B, N, d]."""
        # A pointwise convolution is a matrix product over the last axis: no transpose of the wide tensor.
        x = F.glu(
            F.linear(x, self.pwise_conv1.weight.squeeze(-1), self.pwise_conv1.bias), dim=-1
        )  # [B, N, r]
        x = self.dwise_conv(x.transpose(1, 2))  # [B, r, N], or N + 1 for an even kernel
        x = x[
            ..., 1 - self.dwise_conv.kernel_size[0] % 2 :
        ]  # "same": (k - 1) // 2 tokens to the left, k // 2 to the right
        x = F.silu(self.bnorm(x)).transpose(1, 2)  # [B, N, r]
        x = F.linear(x, self.pwise_conv2.weight.squeeze(-1), self.pwise_conv2.bias)  # [B, N, d]
        return self.dropout(x)  # type: ignore[no-any-return]
