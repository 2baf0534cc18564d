"""Where training reads from and writes to.

Read: ``../shared`` beside the repository, or the folder that the environment variable
``ANPR_SHARED`` names. Written: ``.cache/`` (data sets derived from the photos), ``runs/``
(checkpoints, logs) and ``weights/`` (what is shipped). Git ignores the first two.
"""

from __future__ import annotations

import os
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
CACHE = REPO / ".cache"
RUNS = REPO / "runs"
WEIGHTS = REPO / "weights"


def shared() -> Path:
    """The folder with ``data/`` and ``weights/``; it need not exist."""
    named = os.environ.get("ANPR_SHARED")
    return Path(named).resolve() if named else REPO.parent / "shared"


def shared_data() -> Path:
    """The folder with ``photos.jsonl`` and ``crops.jsonl``; it need not exist."""
    return shared() / "data"
