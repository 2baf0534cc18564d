"""What is wrong with a request, with the place of its image, or with the image."""

from __future__ import annotations

from anpr.errors.base import AnprError

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


class ModelUnknown(RequestError):
    status = 404
    slug = "model-unknown"
    title = "Model unknown"
    sentence = "No manifest has a model of this name."


class StoreDisabled(RequestError):
    status = 409
    slug = "store-disabled"
    title = "Model store disabled"
    sentence = "The model store is switched off (ANPR_CACHE_DISABLED)."


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
