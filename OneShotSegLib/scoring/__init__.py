"""Scores of results without a reference, and which cases to correct first.

Imports imaging, networks, method, and the result types of study.
"""
