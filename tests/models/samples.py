"""Small real models, and checkpoints that are no good, made without Torch."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from anpr.ocr import PLATE_ALPHABET
from tests.graphs import constant_graph


def detector(path: Path, *, seed: int = 0) -> Path:
    """A graph that sees no plate anywhere; each seed gives other bytes."""
    answer = np.zeros((1, 5, 8), np.float32)
    return constant_graph(path, answer, metadata={"seed": str(seed)})


def reader(path: Path, *, characters: bool = True) -> Path:
    """A graph that reads nothing, with its characters in the metadata or without."""
    answer = np.zeros((1, 6, len(PLATE_ALPHABET) + 2), np.float32)
    answer[:, :, 0] = 1
    metadata = {"character": "\n".join(PLATE_ALPHABET)} if characters else {}
    return constant_graph(path, answer, shape=(1, 3, 48, "width"), metadata=metadata)


def pickled(*instructions: bytes, protocol: int = 2) -> bytes:
    return b"\x80" + bytes([protocol]) + b"".join(instructions) + b"."


def text(value: str) -> bytes:
    """BINUNICODE."""
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


# os.system("touch …"): what a hostile checkpoint would do
def running_code(target: Path) -> bytes:
    return pickled(b"cposix\nsystem\n", text(f"touch {target}"), b"\x85R")


# An OrderedDict that is made, and nothing else
PLAIN = pickled(b"ccollections\nOrderedDict\n", b")R")


def archive(path: Path, files: dict[str, bytes], *, compress: bool = False) -> Path:
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as zipped:
        for name, data in files.items():
            zipped.writestr(name, data)
    path.write_bytes(buffer.getvalue())
    return path


def checkpoint(path: Path, program: bytes = PLAIN) -> Path:
    """A file laid out as ``torch.save`` does it, with this pickle."""
    return archive(
        path,
        {"last/data.pkl": program, "last/byteorder": b"little", "last/version": b"3\n"},
    )
