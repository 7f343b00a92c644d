"""Changes of training images that belong to a modality; one a file, drawn apart from being applied."""
