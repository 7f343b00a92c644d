"""From whole slides to label images, polygons and areas, a block at a time."""
