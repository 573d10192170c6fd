"""Segmentation of queries with networks and supports that are loaded once, with CPU fallback when GPU memory runs out.

For ``propagate`` only: a trained segmentation network needs no support and is run by ``networks/inference.py``.

Imports all rooms from imaging to fusion, and the result types of study.
"""
