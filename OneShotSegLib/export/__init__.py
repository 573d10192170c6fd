"""Exports of a study: to other trainers, to DICOM, to another reviewer."""
