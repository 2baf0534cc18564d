"""The errors of this package, as a tree.

::

    AnprError                            500  internal
    ├── RequestError
    │   ├── MalformedRequest             400  malformed-request
    │   ├── Unauthorized                 401  unauthorized
    │   ├── Forbidden                    403  forbidden
    │   ├── PayloadTooLarge              413  payload-too-large
    │   ├── InvalidOption                422  invalid-option
    │   └── QuotaExceeded                429  quota-exceeded
    ├── SourceError                           (an address or a path that an image comes from)
    │   ├── SourceNotFound               404  source-not-found       (files only)
    │   ├── SourceUnreadable             422  source-unreadable      (files only)
    │   ├── UrlNotAllowed                422  url-not-allowed
    │   ├── SourceTooLarge               422  source-too-large
    │   ├── SourceFailed                 502  source-failed
    │   └── SourceTimeout                504  source-timeout
    ├── ImageError
    │   ├── EmptyImage                   400  empty-image
    │   ├── UnsupportedImage             415  unsupported-image
    │   ├── CorruptImage                 422  corrupt-image
    │   ├── ImageTooSmall                422  image-too-small
    │   └── TooManyPixels                422  too-many-pixels
    └── Unavailable                           (try again later: every one carries retry_after_s)
        ├── Busy                         503  busy
        ├── Draining                     503  draining
        ├── DeadlineExceeded             503  deadline-exceeded
        ├── OutOfMemory                  503  out-of-memory
        └── ModelError
            ├── ModelMissing             503  model-missing
            ├── ModelMismatch            503  model-mismatch
            ├── ModelUnusable            503  model-unusable
            └── RuntimeMissing           503  runtime-missing

A class carries what the outside may see: the HTTP ``status``, the ``slug`` (end of the problem's
type URI), the ``title`` and a public ``sentence``. The constructor's optional argument replaces
the sentence with one that says more; it must be fit for strangers as well. What is not for
strangers goes into the cause (``raise … from``) and from there to the log.
"""

from __future__ import annotations

from typing import ClassVar


class AnprError(Exception):
    """Base of every error that this package raises on purpose."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    sentence: str = "Something went wrong on our side."

    def __init__(self, sentence: str | None = None) -> None:
        if sentence is not None:
            self.sentence = sentence
        super().__init__(self.sentence)


# --- the request itself ------------------------------------------------------------------------


class RequestError(AnprError):
    """The request cannot be served as it was sent."""

    status = 400
    slug = "malformed-request"
    title = "Malformed request"
    sentence = "The request could not be understood."


class MalformedRequest(RequestError):
    """The body has no image, two images, broken JSON, broken base64, broken multipart."""


class Unauthorized(RequestError):
    status = 401
    slug = "unauthorized"
    title = "Unauthorized"
    sentence = "An API key is needed: send it as 'Authorization: Bearer' or 'X-API-Key'."


class Forbidden(RequestError):
    status = 403
    slug = "forbidden"
    title = "Forbidden"
    sentence = "This API key does not permit the request."


class PayloadTooLarge(RequestError):
    status = 413
    slug = "payload-too-large"
    title = "Payload too large"
    sentence = "The image is larger than this service accepts."


class InvalidOption(RequestError):
    status = 422
    slug = "invalid-option"
    title = "Invalid option"
    sentence = "An option of the request has a value that is not allowed."


class QuotaExceeded(RequestError):
    status = 429
    slug = "quota-exceeded"
    title = "Quota exceeded"
    sentence = "Too many requests were sent with this key."


# --- where the image comes from ----------------------------------------------------------------


class SourceError(AnprError):
    """The image could not be had from the file or the address that was named."""

    status = 422
    slug = "source-unreadable"
    title = "Source unreadable"
    sentence = "The source could not be read."


class SourceNotFound(SourceError):
    status = 404
    slug = "source-not-found"
    title = "Source not found"
    sentence = "There is no such file or folder."


class SourceUnreadable(SourceError):
    """A file that exists but cannot be opened, or a folder without images."""


class UrlNotAllowed(SourceError):
    """One sentence for every refusal, so that it tells nothing about the network behind us."""

    slug = "url-not-allowed"
    title = "URL not allowed"
    sentence = "The image URL is not allowed or could not be resolved."


class SourceTooLarge(SourceError):
    slug = "source-too-large"
    title = "Source too large"
    sentence = "The image behind the URL is larger than this service accepts."


class SourceFailed(SourceError):
    status = 502
    slug = "source-failed"
    title = "Source failed"
    sentence = "The image could not be fetched from its URL."


class SourceTimeout(SourceError):
    status = 504
    slug = "source-timeout"
    title = "Source timed out"
    sentence = "The image URL did not answer in time."


# --- the image ---------------------------------------------------------------------------------


class ImageError(AnprError):
    """The bytes are not an image that can be read here."""

    status = 422
    slug = "corrupt-image"
    title = "Corrupt image"
    sentence = "The image is damaged or incomplete."


class EmptyImage(ImageError):
    status = 400
    slug = "empty-image"
    title = "Empty image"
    sentence = "The image is empty: it has no bytes."


class UnsupportedImage(ImageError):
    status = 415
    slug = "unsupported-image"
    title = "Unsupported image"
    sentence = "The content is not a JPEG, PNG, WebP, BMP, TIFF or GIF image."


class CorruptImage(ImageError):
    """The header names a known format, the content cannot be decoded."""


class ImageTooSmall(ImageError):
    slug = "image-too-small"
    title = "Image too small"
    sentence = "The image is too small to show a number plate."


class TooManyPixels(ImageError):
    slug = "too-many-pixels"
    title = "Too many pixels"
    sentence = "The image has more pixels than this service accepts."


# --- not now -----------------------------------------------------------------------------------


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


class RuntimeMissing(ModelError):
    slug = "runtime-missing"
    title = "Runtime missing"
    sentence = "The chosen runtime is not installed: run 'make reference'."
