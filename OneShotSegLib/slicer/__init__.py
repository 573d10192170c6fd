"""What needs Slicer: nodes <-> volumes, the child process that computes, the review of a batch, the panel's sections.

The rooms import one way: mrml, jobs -> review -> sections -> panel. `mrml` converts nodes to volumes and label maps and
back, `jobs` runs child processes, `review` is the review of a study in the scene, `sections` are the panel's sections.
Nothing here computes anything heavy; torch, numba, SciPy and SimpleITK are not imported at start-up.
"""
