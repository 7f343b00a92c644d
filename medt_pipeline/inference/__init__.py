"""From images to masks with trained folds."""
