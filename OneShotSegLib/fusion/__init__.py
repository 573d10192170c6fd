"""Several candidates for one query become one segmentation; which supports are asked at all."""
