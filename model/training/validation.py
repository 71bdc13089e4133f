"""What decides which checkpoint is best: recall@1 on held out validation matches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from model.data.dataset import Dataset
from model.data.image_files import ImageFiles
from model.evaluation.bundles import BundleRanker
from model.evaluation.retrieval import recall, search
from model.evaluation.tasks import Task, cluster_mates, one_catalogue, two_tables
from model.network import ProductEncoder
from model.training.batches import Collator
from model.training.encoding import NetworkEncoder

SPLIT = "valid"


class Validation:
    """Searches the validation sets with a network."""

    def __init__(self, datasets: Sequence[Dataset], images: Mapping[str, ImageFiles], collator: Collator) -> None:
        self._asked = [(task_of(dataset), dataset.products, images.get(dataset.name)) for dataset in datasets]
        self._collator = collator

    def __call__(self, network: ProductEncoder) -> float:
        """The mean of recall@1 over the sets."""
        encoder = NetworkEncoder(network, self._collator)
        found = []
        for task, products, files in self._asked:
            asked = dict.fromkeys([*(query.id for query in task.queries), *task.candidates])
            ranker = BundleRanker(encoder, files.read if files else None)
            table = search(task, ranker.over([products[id] for id in asked]))
            everyone = np.ones((1, len(table.answers)))
            found.append(float(recall(table, 1)(everyone)[0]))
        return float(np.mean(found))


def task_of(dataset: Dataset) -> Task:
    """What is asked on a data set: of two tables from one to the other, of clusters for the mates, else for the matches."""
    if dataset.sides:
        return two_tables(dataset, SPLIT)
    return cluster_mates(dataset, SPLIT) if dataset.clusters else one_catalogue(dataset, SPLIT)
