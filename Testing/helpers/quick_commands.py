"""The command line with the quick settings of `tiny_batch`, for what starts commands of its own."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from OneShotSegLib.cli import main
from OneShotSegLib.method import settings
from Testing.helpers import tiny_batch

if __name__ == "__main__":
    settings.METHODS["default"] = tiny_batch.QUICK
    tiny_batch.score_briefly()
    main()
