"""How many scans a JPEG has, told from its markers alone (ITU-T T.81, annex B).

A progressive JPEG paints the whole picture anew with each scan, and a scan may be some fifty bytes
long: a file of a few hundred kilobytes can keep a decoder busy for minutes.
"""

from __future__ import annotations

import re
from typing import Final

_START_OF_SCAN: Final = 0xDA
_END: Final = 0xD9
_ALONE: Final = frozenset((0x01, *range(0xD0, 0xD9)))  # markers that no length follows
# In coded data 0xFF is followed by 0, and restarts (D0 to D7) belong to the scan
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def has_more_scans(data: bytes, most: int) -> bool:
    """Are there more than ``most`` scans? What follows the end of the image does not count."""
    if data.count(bytes((0xFF, _START_OF_SCAN))) <= most:  # thumbnails and appended films too
        return False
    scans, position = 0, 2
    while (marker := _NEXT_MARKER.search(data, position)) is not None:
        code, position = data[marker.end() - 1], marker.end()
        if code == _END:
            return False
        if code == _START_OF_SCAN:
            scans += 1
            if scans > most:
                return True
        if code not in _ALONE:
            position += int.from_bytes(data[position : position + 2], "big")
    return False
