"""Training of a segmentation network on the noisy labels of a study (Lei et al., section III-D)."""
