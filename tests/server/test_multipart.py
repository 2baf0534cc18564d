"""Multipart bodies in pieces, in excess, and in pieces that are no multipart at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anpr.errors import MalformedRequest, PayloadTooLarge
from anpr.server.multipart import MAX_PARTS, MultipartForm

TYPE = "multipart/form-data; boundary=frontier"


def part(name: str, content: bytes, *heads: str) -> bytes:
    lines = [f'Content-Disposition: form-data; name="{name}"', *heads]
    return b"--frontier\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n"


END = b"--frontier--\r\n"


def parse(body: bytes, step: int = 0, content_type: str = TYPE) -> list[tuple[str, bytes]]:
    form = MultipartForm(content_type, {"image": 1000})
    step = step or max(1, len(body))
    for start in range(0, len(body), step):
        form.feed(body[start : start + step])
    return [(part.name, bytes(part.content)) for part in form.finish()]


@pytest.mark.parametrize("step", [0, 1, 2, 3, 7, 64])
def test_pieces_of_any_size_give_the_same_parts(step: int) -> None:
    image = b"\r\n--frontie\r\n\x00\xff--frontier"
    body = part("image", image, "Content-Type: image/jpeg") + part("top_n", b"3") + END

    assert parse(body, step) == [("image", image), ("top_n", b"3")]


def test_a_name_may_be_utf8() -> None:
    assert parse(part("größe", b"x") + END) == [("größe", b"x")]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; charset=utf-8",
        "multipart/form-data; boundary=" + "x" * 1000,
    ],
)
def test_a_boundary_is_needed(content_type: str) -> None:
    with pytest.raises(MalformedRequest):
        parse(b"", content_type=content_type)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        part("image", b"abc"),
        part("image", b"abc")[:-10],
        b"--frontier\r\nContent-Disposition: form-data\r\n\r\nabc\r\n" + END,
        b"--frontier\r\n\r\nabc\r\n" + END,
        b"--frontier\r\nbro ken\r\n\r\n" + END,
        part("image", b"abc", "X: " + "y" * 10_000) + END,
        part("image", b"abc", *(f"X-{i}: y" for i in range(50))) + END,
        b"".join(part(f"field{i}", b"") for i in range(MAX_PARTS + 1)) + END,
    ],
    ids=[
        "nothing",
        "text",
        "no end",
        "cut",
        "no name",
        "no head",
        "broken head",
        "long head",
        "many heads",
        "many parts",
    ],
)
@pytest.mark.parametrize("step", [0, 1])
def test_what_is_broken_is_malformed(body: bytes, step: int) -> None:
    with pytest.raises(MalformedRequest):
        parse(body, step)


@pytest.mark.parametrize("step", [0, 100])
def test_every_part_has_a_limit(step: int) -> None:
    with pytest.raises(PayloadTooLarge):
        parse(part("image", bytes(1001)) + END, step)
    with pytest.raises(PayloadTooLarge):
        parse(part("other", bytes(4097)) + END, step)


PIECES = st.sampled_from(
    [
        b"--frontier",
        b"--frontier--",
        b"\r\n",
        b"\r",
        b"Content-Disposition: form-data; name=",
        b'"image"; filename="',
        b"filename*=utf-8''%ff",
        b"Content-Transfer-Encoding: base64",
        b":",
        b";",
        b"\xff\x00",
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES | st.binary(max_size=8), max_size=24).map(b"".join), st.integers(1, 64))
def test_any_bytes_are_a_form_or_a_refusal(body: bytes, step: int) -> None:
    try:
        parts = parse(b"--frontier\r\n" + body, step)
    except (MalformedRequest, PayloadTooLarge):
        return
    assert len(parts) <= MAX_PARTS


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_any_content_type_is_a_boundary_or_a_refusal(parameters: str) -> None:
    try:
        MultipartForm("multipart/form-data;" + parameters, {})
    except MalformedRequest:
        return
