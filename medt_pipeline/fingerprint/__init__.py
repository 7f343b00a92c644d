"""Facts about a data set: extraction, groups."""
