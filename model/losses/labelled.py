"""NT-Xent with positives from labels, and all other samples in the denominator.

Source: NT-Xent of Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (2020), equation 1,
for every pair (i, p) of one label. Khosla et al., "Supervised Contrastive Learning" (2020), weigh each sample alike instead
of each pair (model.losses.supcon); both are equal where all groups of a batch have the same size. No library has the mean
over pairs with the other positives in the denominator: NTXentLoss of pytorch-metric-learning leaves those out.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import log_softmax

from model.losses.checks import check_groups, check_rows, check_temperature, check_vectors
from model.losses.contrast import diagonal, without
from model.losses.similarity import Metric, similarity


def labelled(embeddings: Tensor, groups: Tensor, *, temperature: float = 0.07, metric: Metric = "cosine") -> Tensor:
    """Mean over the pairs (i, p) of one group of -log(exp(s_ip / t) / sum of exp(s_ia / t) over all a but i); p is not i.

    Positives stay in the denominator. A version that masks them away there and then reads the diagonal of the log-softmax is
    widely copied: it reads the similarity of a sample with itself, a constant, and its gradient pulls no positives together.

    Args:
        embeddings: [n, dim].
        groups: int64 [n].
        temperature: t, above 0.
        metric: compares vectors.

    Returns:
        Scalar; 0 if no two rows are of one group.

    Raises:
        ValueError: shapes that do not fit, or a temperature that is not above 0.
    """
    check_vectors(embeddings=embeddings)
    check_groups(groups=groups)
    check_rows(embeddings=embeddings, groups=groups)
    check_temperature(temperature)
    self_pairs = diagonal(len(groups), groups.device)
    logits = similarity(embeddings, embeddings, metric) / temperature
    shares = log_softmax(without(logits, self_pairs), dim=1)
    pairs = (groups[:, None] == groups) & ~self_pairs
    return -shares[pairs].sum() / pairs.sum().clamp(min=1)
