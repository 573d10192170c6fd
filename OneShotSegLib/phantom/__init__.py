"""A procedural head-and-neck CT phantom: the embedded cohort of the demo and the tests."""
