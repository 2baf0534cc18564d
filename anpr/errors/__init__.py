"""The errors of this package, as a tree.

::

    AnprError                            500  internal
    ├── RequestError
    │   ├── MalformedRequest             400  malformed-request
    │   ├── Unauthorized                 401  unauthorized
    │   ├── Forbidden                    403  forbidden
    │   ├── ModelUnknown                 404  model-unknown
    │   ├── StoreDisabled                409  store-disabled
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
        ├── StoreError                        (the folder that imported models are kept in)
        │   ├── StoreBusy                503  store-busy
        │   ├── StoreFull                503  store-full
        │   └── StoreUnwritable          503  store-unwritable
        └── ModelError
            ├── ModelMissing             503  model-missing
            ├── ModelMismatch            503  model-mismatch
            ├── ModelUnusable            503  model-unusable
            ├── ModelUnsafe              503  model-unsafe
            └── RuntimeMissing           503  runtime-missing

A class carries what the outside may see: the HTTP ``status``, the ``slug`` (end of the problem's
type URI), the ``title`` and a public ``sentence``. The constructor's optional argument replaces
the sentence with one that says more; it must be fit for strangers as well. What is not for
strangers goes into the cause (``raise … from``) and from there to the log.
"""

from __future__ import annotations

from anpr.errors.base import AnprError
from anpr.errors.request import (
    CorruptImage,
    EmptyImage,
    Forbidden,
    ImageError,
    ImageTooSmall,
    InvalidOption,
    MalformedRequest,
    ModelUnknown,
    PayloadTooLarge,
    QuotaExceeded,
    RequestError,
    SourceError,
    SourceFailed,
    SourceNotFound,
    SourceTimeout,
    SourceTooLarge,
    SourceUnreadable,
    StoreDisabled,
    TooManyPixels,
    Unauthorized,
    UnsupportedImage,
    UrlNotAllowed,
)
from anpr.errors.unavailable import (
    Busy,
    DeadlineExceeded,
    Draining,
    ModelError,
    ModelMismatch,
    ModelMissing,
    ModelUnsafe,
    ModelUnusable,
    OutOfMemory,
    RuntimeMissing,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreUnwritable,
    Unavailable,
)

__all__ = [
    "AnprError",
    "Busy",
    "CorruptImage",
    "DeadlineExceeded",
    "Draining",
    "EmptyImage",
    "Forbidden",
    "ImageError",
    "ImageTooSmall",
    "InvalidOption",
    "MalformedRequest",
    "ModelError",
    "ModelMismatch",
    "ModelMissing",
    "ModelUnknown",
    "ModelUnsafe",
    "ModelUnusable",
    "OutOfMemory",
    "PayloadTooLarge",
    "QuotaExceeded",
    "RequestError",
    "RuntimeMissing",
    "SourceError",
    "SourceFailed",
    "SourceNotFound",
    "SourceTimeout",
    "SourceTooLarge",
    "SourceUnreadable",
    "StoreBusy",
    "StoreDisabled",
    "StoreError",
    "StoreFull",
    "StoreUnwritable",
    "TooManyPixels",
    "Unauthorized",
    "Unavailable",
    "UnsupportedImage",
    "UrlNotAllowed",
]
