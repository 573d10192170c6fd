"""A disk that is full, for a child process that is to write a file."""


def full(*_arguments: object) -> None:
    raise OSError(28, "No space left on device")
