"""``python -m OneShotSegLib.doctor`` is ``oneshotseg doctor``, and needs no package at all."""

import sys
from pathlib import Path

from OneShotSegLib.doctor.examination import show


def main() -> None:
    """Take ``--json`` and a folder."""
    arguments = sys.argv[1:]
    folders = [argument for argument in arguments if not argument.startswith("-")]
    sys.exit(show(Path(folders[0]) if folders else Path(), as_json="--json" in arguments))


if __name__ == "__main__":
    main()
