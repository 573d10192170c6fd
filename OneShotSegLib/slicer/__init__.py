"""What needs Slicer: nodes <-> volumes, the child process that computes, the review of a batch, the panel's sections.

Nothing here computes anything heavy or imports torch: Slicer's process only shows.
"""
