"""From a raw data set to plans, folds and preprocessed arrays."""
