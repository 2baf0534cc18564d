"""A model file, read once, and only if it is the one that was meant."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from anpr.errors import ModelMismatch, ModelMissing


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Where a model lies, and the SHA-256 (hex) it must have; ``None`` where nobody recorded it."""

    path: Path
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Such as ``plate-detector@3f9c0d12``; no digits where the hash is not known."""
        digits = f"@{self.sha256[:8]}" if self.sha256 else ""
        return f"{self.path.stem}{digits}"

    def read(self) -> bytes:
        """The content, verified: what is checked is what is loaded, with no second look.

        ONNX Runtime loads a file with a flipped bit without a murmur, so the hash is the only
        guard. Raises ``ModelMissing`` or ``ModelMismatch``.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError as error:
            raise ModelMissing(f"The model file '{self.path.name}' is missing.") from error
        except OSError as error:
            raise ModelMissing(f"The model file '{self.path.name}' cannot be read.") from error
        self.check(data)
        return data

    def check(self, data: bytes) -> None:
        if self.sha256 is not None and hashlib.sha256(data).hexdigest() != self.sha256:
            raise ModelMismatch(
                f"The model file '{self.path.name}' is not the one that the manifest describes."
            )
