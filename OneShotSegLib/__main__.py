"""``python -m OneShotSegLib`` is ``oneshotseg``."""

from OneShotSegLib.cli import main

if __name__ == "__main__":
    main()
