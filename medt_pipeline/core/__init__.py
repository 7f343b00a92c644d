"""What every other room stands on: errors, workspace, files, images. No torch."""
