"""Data to train and to evaluate with: reading, cleaning, splitting, augmenting."""
