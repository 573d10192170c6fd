"""Check a commit message's form: a subject of at most 72 characters without a full stop, then an empty line.

Usage: python tools/check_subject.py MESSAGE_FILE
"""

from __future__ import annotations

import sys
from pathlib import Path

LONGEST = 72


def main() -> None:
    """Exit with a sentence if the message has another form."""
    lines = [line for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    subject = lines[0] if lines else ""
    if not subject.strip() or len(subject) > LONGEST or subject.endswith("."):
        raise SystemExit(f"Expected a subject of 1 to {LONGEST} characters without a full stop, found {len(subject)}.")
    if len(lines) > 1 and lines[1].strip():
        raise SystemExit("Expected an empty line after the subject, found text.")


if __name__ == "__main__":
    main()
