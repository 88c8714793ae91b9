"""Windows and batches of features, the one training loop, and prediction."""
