"""Segmentation of queries with networks and supports that are loaded once, on the GPU or the CPU.

Imports all rooms from imaging to fusion, and the result types of study.
"""
