"""Compiled forms: graphs as ONNX Runtime optimised them, kept so that later starts need not.

A form is an ONNX file and no pickle. ONNX Runtime loads it as fast as its own flatbuffer format,
and neither memory-mapping that nor leaving out the prepacking of weights made a difference. There
are two levels (``GraphOptimizationLevel`` of ONNX Runtime):

- ``all`` has the layouts of this CPU in it and may fail on another one. It is kept in the user's
  cache folder and loaded as it is.
- ``extended`` runs anywhere. Images carry it beside their weights; the layouts are added when it
  loads.

A seal at its end says what it was made from (``anpr.models.seal``).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import platform
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from anpr.errors import ModelError, ModelUnusable
from anpr.models import disk
from anpr.models.seal import FORMAT, Level, Origin, peek, seal, unseal
from anpr.onnx import make_session, open_session, runtime, session_options
from anpr.weights import ModelFile

FOLDER: Final = "compiled"  # in the cache folder, and beside the weights of an image
_CPUINFO = Path("/proc/cpuinfo")
_DRAFT: Final = ".draft-"
_DRAFT_LIVES_S: Final = 3600.0  # what a killed process left
# Prefixes of the names in /proc/cpuinfo that matter to ONNX Runtime's kernels
_SIMD: Final = ("sse", "ssse", "avx", "fma", "f16c", "amx", "asimd", "sve", "fphp", "bf16", "i8mm")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Form:
    """A file in a folder of forms. ``stale``: of another ONNX Runtime, so nothing loads it."""

    path: Path
    bytes: int
    state: Literal["good", "stale", "damaged"]
    origin: Origin | None


@functools.cache
def cpu() -> str:
    """The machine and what its CPU can do that a compiled graph may rest on.

    Elsewhere than on Linux the name of the processor has to do.
    """
    try:
        with _CPUINFO.open(encoding="ascii", errors="replace") as lines:
            # the first CPU's: the others are the same, and there may be hundreds
            names = next(x for x in lines if x.startswith(("flags", "Features"))).split()
        features = ",".join(sorted(name for name in names if name.startswith(_SIMD)))
    except (OSError, StopIteration):
        features = platform.processor()
    return f"{platform.machine()}:{hashlib.sha256(features.encode()).hexdigest()[:16]}"


def compile_form(file: ModelFile, folder: Path, level: Level) -> Path:
    """Optimise ``file`` and keep the form in ``folder``, which is made if need be.

    A form of the ``all`` level is for this machine, where the source stays in its place.
    Raises ``ModelError``, and ``OSError`` where the form cannot be written.
    """
    data = file.read()
    onnxruntime = runtime()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=_DRAFT, dir=folder, ignore_cleanup_errors=True
    ) as scratch:
        draft = Path(scratch, "form.onnx")
        levels = onnxruntime.GraphOptimizationLevel
        options = session_options(1)
        options.graph_optimization_level = (
            levels.ORT_ENABLE_ALL if level == "all" else levels.ORT_ENABLE_EXTENDED
        )
        options.optimized_model_filepath = str(draft)
        try:
            make_session(data, options)
        except Exception as error:
            raise ModelUnusable(
                f"The model file '{file.path.name}' cannot be compiled by ONNX Runtime."
            ) from error
        graph = draft.read_bytes()
    sha256 = file.sha256 or hashlib.sha256(data).hexdigest()
    origin = replace(_origin(file, sha256, level), source_bytes=len(data))
    path = folder / origin.file_name
    disk.write_whole(path, seal(graph, origin))
    return path


def survey(folder: Path) -> list[Form]:
    """Every form in a folder, read in full; nothing where there is no folder."""
    forms = []
    for path in sorted(folder.glob("*.onnx")):
        try:
            data = path.read_bytes()
            origin = unseal(data)
        except (OSError, ValueError):
            forms.append(Form(path, _size(path), "damaged", None))
            continue
        state: Literal["good", "stale"] = "good" if _is_current(origin) else "stale"
        forms.append(Form(path, len(data), state, origin))
    return forms


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _is_current(origin: Origin) -> bool:
    return (origin.format, origin.onnxruntime) == (FORMAT, runtime().__version__)


def _origin(file: ModelFile, sha256: str, level: Level) -> Origin:
    """What a form of this file says that is made here and now. Raises ``OSError``."""
    status = file.path.stat()
    return Origin(
        source_sha256=sha256,
        source_bytes=status.st_size,
        source_mtime_ns=status.st_mtime_ns if level == "all" else None,
        level=level,
        onnxruntime=runtime().__version__,
        cpu=cpu() if level == "all" else "",
    )


class CompiledForms:
    """Opens sessions from forms where there are good ones, and from the source where not.

    ``cache`` is the folder of forms for this CPU; ``baked`` one of portable forms, which is only
    read. A folder that cannot be read or written, or a form that is damaged, is no error: the
    source is loaded, and the log says so once.
    """

    def __init__(self, cache: Path | None, baked: Path | None = None) -> None:
        self._cache = cache
        self._places: list[tuple[Path, Level]] = []
        if cache is not None:
            self._places.append((cache, "all"))
        if baked is not None:
            self._places.append((baked, "extended"))
        self._lock = threading.Lock()
        self._pending: dict[Path, ModelFile] = {}
        self._told: set[str] = set()

    @property
    def pending(self) -> bool:
        """Was a model loaded that has no form for this CPU yet, and may one be kept?"""
        return bool(self._pending)

    def open(self, file: ModelFile, threads: int) -> Any:
        """A session for ``file``: an ``anpr.onnx.Opener``. Raises ``ModelError``.

        The source is not read where a form of it is found and the file was not touched since. A
        form is made of the verified source only, and verified itself.
        """
        for folder, level in self._places:
            session = self._session(file, threads, folder, level)
            if session is not None:
                break
        else:
            session, level = open_session(file, threads), "extended"
        if level != "all" and self._cache is not None:
            with self._lock:
                self._pending[file.path] = file
        return session

    def keep(self) -> list[Path]:
        """Compile what was loaded without a form for this CPU, for the next start.

        It takes as long as loading once more: doing it while loading would make the first start
        slower by a third of its loading. So it is for when nobody waits.
        """
        kept = []
        while self._cache is not None:
            with self._lock:
                if not self._pending:
                    break
                _, file = self._pending.popitem()
            try:
                path = compile_form(file, self._cache, "all")
                _sweep(self._cache, path)
                kept.append(path)
            except (OSError, ModelError) as error:
                self._tell("compiled models cannot be kept in %s: %r", self._cache, error)
                with self._lock:
                    self._pending.clear()
                self._cache = None
        return kept

    def _session(self, file: ModelFile, threads: int, folder: Path, level: Level) -> Any:
        try:
            sha256 = file.sha256 or hashlib.sha256(file.path.read_bytes()).hexdigest()
            wanted = _origin(file, sha256, level)
            data = (folder / wanted.file_name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell("compiled models cannot be read in %s: %r", folder, error)
            return None
        options = session_options(threads)
        if level == "all":
            options.graph_optimization_level = (
                runtime().GraphOptimizationLevel.ORT_DISABLE_ALL  # it was done
            )
        try:
            origin = unseal(data)
            if replace(origin, sha256="") != wanted:
                return None  # the source was touched
            return make_session(data, options)
        except Exception as error:  # ONNX Runtime's have no common base
            self._tell("a compiled model in %s is damaged: %r", folder, error)
            return None

    def _tell(self, message: str, folder: Path, error: Exception) -> None:
        if message not in self._told:
            self._told.add(message)
            logger.warning(message, folder, error)


def _sweep(folder: Path, kept: Path) -> None:
    """Drop forms of the same source that nothing loads any more, and what killed processes left."""
    source = kept.name.partition("-")[0]
    for form in folder.glob(f"{source}-*.onnx"):
        try:
            origin = peek(form)
            gone = origin.cpu == cpu() and not _is_current(origin)
        except (OSError, ValueError):
            gone = True
        if gone:
            form.unlink(missing_ok=True)
    for draft in folder.glob(f"{_DRAFT}*"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > _DRAFT_LIVES_S:
                for left in draft.iterdir():
                    left.unlink()
                draft.rmdir()
