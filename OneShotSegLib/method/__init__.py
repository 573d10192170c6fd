"""The method, one file per step: scribbles in a support become a mask in a query (Lei et al., section III)."""
