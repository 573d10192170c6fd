"""Fusion of several candidates for a query into one segmentation, and selection of the supports that give them.

Imports imaging, networks, method, scoring, and the result types of study.
"""
