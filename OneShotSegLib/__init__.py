"""OneShotSeg: scribble one CT, get the same structures segmented in a whole batch of CTs.

The method is Lei et al., "One-shot Weakly-Supervised Segmentation in 3D Medical Images" (arXiv 2111.10773).
"""

__version__ = "0.1.0"
