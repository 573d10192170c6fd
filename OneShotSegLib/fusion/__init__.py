"""Fusion of several candidates for a query into one segmentation, and selection of the supports that give them.

``support_selection`` comes before the candidates are made; ``candidates`` takes them scored, fuses their labels
with ``label_fusion``, weighted by the square of their scores, and scores the fused mask.

Imports imaging, networks, method, scoring, and the result types of study.
"""
