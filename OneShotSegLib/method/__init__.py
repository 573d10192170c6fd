"""The method, one file per step, from scribbles in a support to a mask in a query (Lei et al., section III).

Imports the rooms geodesic, imaging and networks.
"""
