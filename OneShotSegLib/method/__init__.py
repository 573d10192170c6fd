"""The method, one file per step, from scribbles in a support to a mask in a query (Lei et al., section III).

The steps are tubular_tracking (on the support alone), propagation, alignment, denoising, expansion and refinement;
pipeline has their order for a query, support what is computed once per study, settings the values of ``--method``. The
other modules are what the steps share; stroke_simulation makes strokes from a mask.

Imports the rooms geodesic, imaging and networks.
"""
