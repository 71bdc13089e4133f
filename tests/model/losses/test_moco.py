"""MoCo: the loss against the loop of the paper, the queue against a deque, and the momentum update."""

# ruff: noqa: E402 - torch comes with the train extra only

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn

from model.losses.moco import Queue, moco, momentum_update
from model.losses.similarity import similarity

Make = Callable[..., Tensor]
T = 0.3


def naive(
    queries: Tensor, keys: Tensor, groups: list[int], queue: Tensor, queue_groups: list[int], metric: str
) -> float:
    """Equation 1 of He et al., with the query's own group left out of the queue."""
    own, others = similarity(queries, keys, metric).tolist(), similarity(queries, queue, metric).tolist()
    total = 0.0
    for i, group in enumerate(groups):
        right = math.exp(own[i][i] / T)
        wrong = sum(math.exp(others[i][j] / T) for j, other in enumerate(queue_groups) if other != group)
        total -= math.log(right / (right + wrong))
    return total / len(groups)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_it_is_the_textbook_loop(vectors: Make, metric: str) -> None:
    groups, queue_groups = [0, 1, 2], [1, 9, 9, 0, 4]
    queries, keys, queue = vectors(3, seed=1), vectors(3, seed=2), vectors(5, seed=4)
    value = moco(queries, keys, torch.tensor(groups), queue, torch.tensor(queue_groups), temperature=T, metric=metric)
    assert value.item() == pytest.approx(naive(queries, keys, groups, queue, queue_groups, metric), rel=1e-12)


def test_the_gradient_goes_to_the_queries_only(vectors: Make) -> None:
    queries, keys, queue = vectors(3, seed=1), vectors(3, seed=2), vectors(5, seed=4)
    moco(queries, keys, torch.tensor([0, 1, 2]), queue, torch.arange(5)).backward()
    assert queries.grad.any()
    assert keys.grad is None
    assert queue.grad is None


@pytest.mark.parametrize("sizes", [[1, 2, 3, 4, 2], [4, 4], [9, 1], [0, 3, 0]])
def test_the_queue_keeps_the_last_keys_with_their_groups(vectors: Make, sizes: list[int]) -> None:
    queue, expected = Queue(4, 6), deque[tuple[float, int]](maxlen=4)
    number = 0
    for seed, size in enumerate(sizes):
        keys, groups = vectors(size, seed=seed).float(), torch.arange(number, number + size)
        number += size
        queue.push(keys, groups)
        expected.extend(zip(keys[:, 0].tolist(), groups.tolist(), strict=True))
        held, groups_held = queue.held()
        assert len(queue) == len(expected)
        assert sorted(zip(held[:, 0].tolist(), groups_held.tolist(), strict=True)) == sorted(expected)


def test_a_queue_goes_on_from_its_state(vectors: Make) -> None:
    queue, resumed = Queue(4, 6), Queue(4, 6)
    queue.push(vectors(3), torch.tensor([1, 2, 3]))
    resumed.load_state_dict(copy.deepcopy(queue.state_dict()))
    for each in (queue, resumed):
        each.push(vectors(2, seed=8), torch.tensor([4, 5]))
    assert resumed.held()[1].tolist() == queue.held()[1].tolist() == [5, 2, 3, 4]
    torch.testing.assert_close(resumed.held()[0], queue.held()[0], rtol=0, atol=0)


def test_what_is_held_stays_while_the_queue_moves_on_and_has_no_gradient(vectors: Make) -> None:
    queue = Queue(2, 6)
    queue.push(vectors(2).bfloat16(), torch.tensor([1, 2]))
    held, groups = queue.held()
    before = held.clone()
    queue.push(vectors(2, seed=8), torch.tensor([3, 4]))
    torch.testing.assert_close(held, before, rtol=0, atol=0)
    assert groups.tolist() == [1, 2]
    assert held.dtype == torch.float32
    assert not held.requires_grad


def test_keys_that_do_not_fit_are_refused_and_the_queue_is_as_it_was(vectors: Make) -> None:
    queue = Queue(2, 6)
    with pytest.raises(ValueError, match="keys has dim 5, queue has dim 6"):
        queue.push(vectors(2, dim=5), torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="groups has 1 rows, keys has 2: row i"):
        queue.push(vectors(2), torch.tensor([1]))
    assert len(queue) == 0
    with pytest.raises(ValueError, match="size is 0 and dim is 6, both must be above 0"):
        Queue(0, 6)


def network(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))


@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
def test_the_target_follows_by_equation_2(momentum: float) -> None:
    online, target = network(), network()
    online(torch.randn(8, 3))
    old, new = copy.deepcopy(target.state_dict()), copy.deepcopy(online.state_dict())
    momentum_update(online, target, momentum)
    for name, _ in online.named_parameters():
        expected = momentum * old[name] + (1 - momentum) * new[name]
        torch.testing.assert_close(target.state_dict()[name], expected)
        torch.testing.assert_close(online.state_dict()[name], new[name], rtol=0, atol=0)
    torch.testing.assert_close(target[1].running_mean, new["1.running_mean"])


def test_a_shared_parameter_moves_once() -> None:
    online, target = nn.ModuleList([nn.Linear(1, 1, bias=False)] * 2), nn.ModuleList([nn.Linear(1, 1, bias=False)] * 2)
    nn.init.ones_(online[0].weight)
    nn.init.zeros_(target[0].weight)
    momentum_update(online, target, 0.5)
    assert target[0].weight.item() == 0.5


@pytest.mark.parametrize("target", [network(5), nn.Sequential(nn.Linear(3, 4))])
def test_another_network_is_refused_before_anything_moves(target: nn.Module) -> None:
    before = copy.deepcopy(target.state_dict())
    with pytest.raises(ValueError, match=r"target differs from online in .*: make the target by copy.deepcopy"):
        momentum_update(network(), target, 0.5)
    assert all(torch.equal(before[name], value) for name, value in target.state_dict().items())


@pytest.mark.parametrize("momentum", [-0.1, 1.1, float("nan")])
def test_a_momentum_outside_0_to_1_is_refused(momentum: float) -> None:
    with pytest.raises(ValueError, match=r"momentum is .*, must lie in \[0, 1\]"):
        momentum_update(network(), network(), momentum)
