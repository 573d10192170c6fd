"""Answers that hold an array: a description as JSON and the voxels, in one piece."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

WORTH_PACKING = 2048


def packed(described: Mapping[str, Any], voxels: NDArray[np.uint8] | None = None) -> Response:
    """A description and voxels: the length of the JSON (4 bytes, little-endian), the JSON, the voxels [z, y, x]."""
    text = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    body = struct.pack("<I", len(text)) + text + (b"" if voxels is None else np.ascontiguousarray(voxels).tobytes())
    headers = {}
    if len(body) > WORTH_PACKING:
        body, headers = gzip.compress(body, compresslevel=1), {"content-encoding": "gzip"}
    return Response(body, media_type="application/octet-stream", headers=headers)
