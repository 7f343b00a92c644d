"""Ultrasound DICOM: finding clips and their masks, and what stands for a patient outside the hospital."""
