"""What a checkpoint (``.pt``) would do when it is loaded, found without loading it.

A ``.pt`` of Torch is a ZIP archive with the tensors' bytes and one pickle, and a pickle is a
program: it may import and call whatever Python can. Here the program is only read
(``pickletools``), with nothing of it run and neither Torch nor Ultralytics at hand. It passes if
it imports only what a YOLO model is made of (layers, tensors, plain containers), calls only what
builds tensors and containers, and has no instruction that such a checkpoint does not need. Classes
of models may be instantiated as unpickling does it, without their constructor: Ultralytics'
evaluates text that it is given.

The archive has to be one that every reader understands alike: one pickle, no name twice (Torch's
reader folds case), nothing before the first file, nothing compressed.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from pathlib import PurePosixPath
from typing import Final

from anpr.errors import ModelUnsafe, ModelUnusable

MAX_PICKLE_BYTES: Final = 32 << 20  # YOLO11x has under one; and a program takes time to read
_MAX_FILES: Final = 20_000

# What ``zipfile``, ``pickletools`` and the reader below raise where the file is broken
_BROKEN: Final = (
    OSError,
    ValueError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
)

# Instructions of pickle protocol 2, as ``torch.save`` writes it and as Torch's own restricted
# reader (``weights_only``) takes them. Among those left out: STACK_GLOBAL, INST, OBJ, EXT.
_INSTRUCTIONS: Final = re.compile(
    "PROTO|STOP|MARK|NONE|NEWTRUE|NEWFALSE|BININT[12]?|LONG1|BINFLOAT|BINUNICODE|SHORT_BINSTRING"
    "|EMPTY_(TUPLE|LIST|DICT|SET)|TUPLE[123]?|APPENDS?|SETITEMS?|(LONG_)?BIN(GET|PUT)|BINPERSID"
    "|GLOBAL|REDUCE|NEWOBJ|BUILD"
)
# What may be called, as "module name"
_CALLED: Final = re.compile(
    r"(__builtin__|builtins) set"
    r"|_codecs encode"
    r"|collections (OrderedDict|Counter)"
    r"|numpy dtype"
    r"|numpy\._?core\.multiarray (_reconstruct|scalar)"
    r"|pathlib (Pure)?(Posix|Windows)Path"
    r"|torch (Size|device)"
    r"|torch\._utils (_rebuild_parameter|_rebuild_tensor(_v[23])?)"
    r"|ultralytics\.utils IterableSimpleNamespace"  # so does ``SimpleNamespace`` reduce itself
)
# What may be named, and instantiated without its constructor
_NAMED: Final = re.compile(
    r"numpy ndarray"
    r"|torch (Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage"
    r"|torch (b?float|int|uint)[0-9]{1,2}"
    r"|torch Tensor"
    r"|torch\.nn\.modules\.(activation|batchnorm|container|conv|dropout|flatten|fold|linear|loss"
    r"|module|normalization|padding|pixelshuffle|pooling|upsampling) [A-Z][A-Za-z0-9]*"
    r"|torch\.nn\.parameter Parameter"
    r"|torch\.storage UntypedStorage"
    r"|ultralytics\.nn\.modules\.(activation|block|conv|head|transformer) [A-Z][A-Za-z0-9]*"
    r"|ultralytics\.nn\.modules\.head v10Detect"
    r"|ultralytics\.nn\.tasks [A-Z][A-Za-z0-9]*Model"
    r"|ultralytics\.utils\.loss [A-Za-z0-9]*[Ll]oss"
    r"|ultralytics\.utils\.tal TaskAlignedAssigner"
)


def is_checkpoint(data: bytes) -> bool:
    """Whether it begins as a ZIP archive does, as every ``.pt`` since Torch 1.6."""
    return data[:4] == b"PK\x03\x04"


def examine(data: bytes, name: str) -> tuple[str, ...]:
    """The names that the pickle of a checkpoint imports, sorted; all of them harmless.

    ``name`` is the file's, for the sentence that says what is wrong with it. Each of the result
    is a module and a name with a space between. Nothing is imported or run. Raises
    ``ModelUnusable`` for what is no checkpoint, and ``ModelUnsafe``.
    """
    try:
        return _names(_pickle(data, name), name)
    except _BROKEN as error:
        raise ModelUnusable(f"The file '{name}' is no checkpoint that can be read.") from error


def _pickle(data: bytes, name: str) -> bytes:
    """The one pickle of the archive. Raises ``ModelUnsafe`` or what ``zipfile`` raises."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = archive.infolist()
        paths = [PurePosixPath(file.filename.lower()) for file in files]
        programs = [
            file
            for file, path in zip(files, paths, strict=True)
            if path.suffix in (".pkl", ".pickle", ".py")
        ]
        plain = (
            0 < len(files) <= _MAX_FILES
            and len(set(paths)) == len(paths)
            and len({path.parts[:1] for path in paths}) == 1
            and min(file.header_offset for file in files) == 0
            and all(file.compress_type == zipfile.ZIP_STORED for file in files)
            and len(programs) == 1
            and PurePosixPath(programs[0].filename).parts[1:] == ("data.pkl",)
        )
        if not plain:
            raise ModelUnsafe(f"The checkpoint '{name}' is not laid out as Torch does it.")
        if programs[0].file_size > MAX_PICKLE_BYTES:
            raise ModelUnsafe(f"The pickle of the checkpoint '{name}' is too large.")
        return archive.read(programs[0])


class _Reader:
    """The program's stack, with the names that it imports told from all other values."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._stack: list[str | None] = []
        self._marks: list[int] = []
        self._memo: dict[object, str | None] = {}
        self.names: set[str] = set()

    def step(self, instruction: pickletools.OpcodeInfo, argument: object) -> None:
        """Raises ``ModelUnsafe``, or ``IndexError`` or ``KeyError`` where the program is broken."""
        kind = instruction.name
        if not _INSTRUCTIONS.fullmatch(kind) or (kind == "PROTO" and argument != 2):
            raise self._refuse(f"has the instruction {kind}, which no checkpoint of YOLO needs")
        result: str | None = None
        if kind == "GLOBAL":
            result = str(argument)
            if not (_CALLED.fullmatch(result) or _NAMED.fullmatch(result)):
                raise self._refuse(f"would import {_shown(result)} when it is loaded")
            self.names.add(result)
        elif kind in ("BINGET", "LONG_BINGET"):
            result = self._memo[argument]
        elif kind in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif kind == "MARK":
            self._marks.append(len(self._stack))
            return
        taken = self._take(instruction.stack_before)
        if kind == "REDUCE":
            if taken[0] is None or not _CALLED.fullmatch(taken[0]):
                raise self._refuse(f"would call {_shown(taken[0])} when it is loaded")
        elif kind == "NEWOBJ":
            if taken[0] is None:
                raise self._refuse("would make something of no known class when it is loaded")
        elif kind in ("BUILD", "APPEND", "APPENDS", "SETITEM", "SETITEMS") and taken[0]:
            raise self._refuse(f"would change {_shown(taken[0])} when it is loaded")
        self._stack += [result] * len(instruction.stack_after)

    def _take(self, wanted: list[pickletools.StackObject]) -> list[str | None]:
        """What an instruction takes from the stack, lowest first."""
        count = len(wanted)
        if pickletools.markobject in wanted:
            count = len(self._stack) - self._marks.pop() + wanted.index(pickletools.markobject)
        if count > len(self._stack) or count < 0:
            raise IndexError("the stack has too little on it")
        taken = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return taken

    def _refuse(self, what: str) -> ModelUnsafe:
        return ModelUnsafe(f"The checkpoint '{self._file}' {what}.")


def _names(program: bytes, file: str) -> tuple[str, ...]:
    reader, end = _Reader(file), 0
    for instruction, argument, position in pickletools.genops(program):
        reader.step(instruction, argument)
        end = position or 0
    if len(program) != end + 1:
        raise ModelUnsafe(f"The checkpoint '{file}' has something behind its pickle.")
    return tuple(sorted(reader.names))


def _shown(name: str | None) -> str:
    """A name out of a hostile file, fit for a sentence."""
    if name is None:
        return "something that it made"
    return repr(name.replace(" ", ".")[:80]).strip("'\"")
