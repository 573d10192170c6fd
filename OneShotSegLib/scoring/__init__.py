"""Scores of results without a reference, and which cases to correct first.

A score is made in four places: of a structure in one candidate (``propagation.structure_score``), of a structure
in a network's result (``network``), of a structure in a fused mask (``fusion/candidates.py``), and of a
case, the mean of its structures that are not absent (``mean_score`` in ``study/quality.py``). Evaluation against
references is in the room evaluation.

Imports imaging, networks, method, and the result types of study.
"""
