"""What cannot be done now: busy, out of memory, without a model or a place for it."""

from __future__ import annotations

from anpr.errors.base import AnprError


class Unavailable(AnprError):
    """The request may succeed later; ``retry_after_s`` says when a client should try again."""

    status = 503
    slug = "unavailable"
    title = "Unavailable"
    sentence = "The service cannot take the request now."
    retry_after_s: int = 1


class Busy(Unavailable):
    slug = "busy"
    title = "Busy"
    sentence = "The service is busy; try again shortly."


class Draining(Unavailable):
    slug = "draining"
    title = "Shutting down"
    sentence = "This instance is shutting down; try again."


class DeadlineExceeded(Unavailable):
    slug = "deadline-exceeded"
    title = "Deadline exceeded"
    sentence = "The image could not be read within the time limit."


class OutOfMemory(Unavailable):
    slug = "out-of-memory"
    title = "Out of memory"
    sentence = "There is too little memory for this request now; try again shortly."
    retry_after_s = 2


class StoreError(Unavailable):
    """Models could not be put into the store, or taken out; what it held is as it was."""

    slug = "store-failed"
    title = "Model store failed"
    sentence = "The model store could not be changed."


class StoreBusy(StoreError):
    slug = "store-busy"
    title = "Model store busy"
    sentence = "Another process is changing the model store; try again shortly."


class StoreFull(StoreError):
    slug = "store-full"
    title = "Model store full"
    sentence = "There is no space left for the model store."
    retry_after_s = 60


class StoreUnwritable(StoreError):
    slug = "store-unwritable"
    title = "Model store unwritable"
    sentence = "The folder of the model store cannot be written."
    retry_after_s = 60


class ModelError(Unavailable):
    """A model cannot be used; an operator has to act, so clients should wait longer."""

    slug = "model-unusable"
    title = "Model unusable"
    sentence = "A model could not be loaded."
    retry_after_s = 60


class ModelMissing(ModelError):
    slug = "model-missing"
    title = "Model missing"
    sentence = "A model file is missing."


class ModelMismatch(ModelError):
    slug = "model-mismatch"
    title = "Model mismatch"
    sentence = "A model file is not the one that the manifest describes."


class ModelUnusable(ModelError):
    """The file is what the manifest says, but the runtime cannot run it."""


class ModelUnsafe(ModelError):
    """To load the file would run code of its own, or read files that are not part of it."""

    slug = "model-unsafe"
    title = "Model unsafe"
    sentence = "The model file is not safe to load."


class RuntimeMissing(ModelError):
    slug = "runtime-missing"
    title = "Runtime missing"
    sentence = "The chosen runtime is not installed: run 'make reference'."
