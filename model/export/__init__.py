"""From a trained network to a model bundle: the graph, its check, smaller variants, the model card."""
