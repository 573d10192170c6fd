"""MRML nodes <-> volumes and label maps: the only place that knows how Slicer holds them."""
