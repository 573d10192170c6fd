"""The error that a user can cause: one clear sentence, shown as it is."""


class InputError(Exception):
    """A mistake in what the user gave (a file, a folder, a setting).

    The message is one sentence that says what was expected and what was found. The command line prints it and exits
    with status 2; nothing was written.
    """
