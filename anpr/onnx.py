"""Models on ONNX Runtime: loaded once, on few threads, and ended when the time is over."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from anpr import deadline, memory
from anpr.errors import DeadlineExceeded, ModelUnusable
from anpr.weights import ModelFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Opener: TypeAlias = Callable[[ModelFile, int], Any]
"""A session for a file on so many threads. Raises ``ModelError``."""


def session_options(threads: int) -> Any:
    """How every graph of ours runs: few threads, one after the other, no arena."""
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # The arena keeps the largest run's memory for good, and photos differ in shape
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors only: they are raised and logged by us
    return options


def make_session(data: bytes, options: Any) -> Any:
    """Raises what ONNX Runtime raises, which has no common base of its own."""
    session = runtime().InferenceSession(
        data, sess_options=options, providers=["CPUExecutionProvider"]
    )
    # It keeps the file's bytes to open them anew on another provider; there is none. Without
    # this attribute, which is not public, they are merely kept.
    if hasattr(session, "_model_bytes"):
        session._model_bytes = b""
    return session


def open_session(file: ModelFile, threads: int) -> Any:
    """The file itself, verified, and optimised while it loads. Raises ``ModelError``."""
    data = file.read()
    try:
        return make_session(data, session_options(threads))
    except Exception as error:
        raise ModelUnusable(
            f"The model file '{file.path.name}' cannot be run by ONNX Runtime."
        ) from error


class OnnxModel:
    """A graph with one input and one output, both float32.

    Nothing is loaded before ``load()`` or the first ``run()``; many threads may ask at once and
    one of them loads. ``opener`` makes the session: from the file, or from a compiled form of it.
    """

    def __init__(self, file: ModelFile, *, threads: int = 1, opener: Opener = open_session) -> None:
        self._file = file
        self._threads = threads
        self._opener = opener
        self._lock = threading.Lock()
        self._session: Any = None

    @property
    def name(self) -> str:
        return self._file.name

    @property
    def loaded(self) -> bool:
        return self._session is not None

    def load(self) -> None:
        """Raises ``ModelMissing``, ``ModelMismatch`` or ``ModelUnusable``."""
        self._ready()

    def unload(self) -> None:
        """Drop the session and give its memory back. A run under way keeps its own reference."""
        with self._lock:
            self._session = None
        memory.release()

    @property
    def metadata(self) -> dict[str, str]:
        """What the exporter wrote into the file."""
        return dict(self._ready().get_modelmeta().custom_metadata_map)

    @property
    def input_shape(self) -> list[int | str]:
        """Names stand for sizes that may vary."""
        return list(self._ready().get_inputs()[0].shape)

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """The first output for ``batch``, the first input.

        Raises ``DeadlineExceeded`` when the current deadline passes meanwhile.
        """
        session = self._ready()
        options = runtime().RunOptions()
        limit = deadline.current()
        limit.check()
        with limit.interruptible(lambda: setattr(options, "terminate", True)):
            try:
                outputs = session.run(None, {session.get_inputs()[0].name: batch}, options)
            except MemoryError:
                raise
            except Exception as error:  # what ONNX Runtime raises has no common base of its own
                if options.terminate:
                    raise DeadlineExceeded from error
                raise ModelUnusable from error
        result: NDArray[np.float32] = outputs[0]
        return result

    def _ready(self) -> Any:
        session = self._session
        if session is None:
            with self._lock:
                if self._session is None:
                    self._session = self._opener(self._file, self._threads)
                session = self._session
        return session


class RunsGraph:
    """What a detector and a reader that run one graph have in common: its name and its life."""

    _model: OnnxModel

    @property
    def name(self) -> str:
        return self._model.name

    def load(self) -> None:
        """Raises ``ModelMissing``, ``ModelMismatch`` or ``ModelUnusable``."""
        self._model.load()

    def unload(self) -> None:
        self._model.unload()


def runtime() -> Any:
    """ONNX Runtime, imported on first use, and kept from reporting its use to its makers.

    From 1.31 on its Linux builds carry an event endpoint; the variable must be set before import.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime
