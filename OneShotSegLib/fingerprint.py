"""Fingerprints of content: equal for equal content, else different."""

from __future__ import annotations

import hashlib

LENGTH = 16


def fingerprint_of(*parts: bytes | str) -> str:
    """The fingerprint of some bytes and texts, in this order: the first 16 hexadecimal digits of their SHA-256."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()[:LENGTH]
