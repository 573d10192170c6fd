"""What the Slicer panel and the page in a browser share: the review, child processes, checks of strokes."""
