"""From clips, DICOM of several frames and videos, to masks, an overlay video, areas over time and their plot."""
