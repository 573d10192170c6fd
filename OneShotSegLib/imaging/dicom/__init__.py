"""DICOM series: found by their headers, put in order, and read onto one regular grid."""
