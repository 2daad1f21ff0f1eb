"""What training minimises: cross-entropy, in which the clips of rare classes may weigh more; where a clip may
have several labels, binary cross-entropy of each class.

Labels say which it is: [B] the class of each clip, [B, classes] of 0 and 1 whether each class is its.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional as F

from .epoch_sums import sum_type

Loss = Callable[[Tensor, Tensor], Tensor]  # logits [B, classes], labels -> mean over the clips []


def plain_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, or the mean over classes of each one's binary cross-entropy; mean over the clips []."""
    if labels.ndim == 1:
        return F.cross_entropy(logits, labels)
    return F.binary_cross_entropy_with_logits(logits, labels)


def right_answers(logits: Tensor, labels: Tensor) -> Tensor:
    """Of each clip whether the likeliest class is its, or the share of classes rightly told to be its or not,
    at a probability of 0.5: [B].
    """
    if labels.ndim == 1:
        return logits.argmax(1) == labels
    return ((logits >= 0) == (labels > 0.5)).to(sum_type(logits.device)).mean(1)


def balanced_weights(labels: Sequence[int], classes: int) -> Tensor:
    """What a clip of each class weighs so that all classes weigh the same together; 1 on average over clips.

    w_c = clips / (classes * clips of class c), scikit-learn's "balanced" (King and Zeng, "Logistic Regression
    in Rare Events Data", 2001).

    Args:
        labels: Of the clips that train; every class has one at least.
        classes: How many there are.

    Returns:
        float32 [classes].
    """
    weights = compute_class_weight("balanced", classes=np.arange(classes), y=np.asarray(labels))
    return torch.from_numpy(weights).float()


def weighted_cross_entropy(weights: Tensor) -> Loss:
    """Cross-entropy in which each clip weighs what its class does.

    The sum is divided by the number of clips and not, as `F.cross_entropy(weight=...)` does, by the batch's
    sum of weights: what a clip counts then depends on no other clip of its batch, and a batch may be computed
    in parts.

    Args:
        weights: [classes], on the device of the logits.
    """

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return (F.cross_entropy(logits, labels, reduction="none") * weights[labels]).mean()

    return loss
