"""What needs MRML: nodes <-> volumes, the worker process client, the review table's model."""
