"""A model for other programs: ONNX, OpenVINO, TorchScript, or its bare weights.

Each is made beside its place, read back or run once, and moved to its place whole. What a format
needs beyond the base install is imported when it is asked for.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from anpr import pickles
from anpr.errors import InvalidOption, ModelUnusable, RuntimeMissing
from anpr.models import checkpoint, disk, onnxfile, tensors
from anpr.onnx import make_session, session_options
from anpr.weights import ModelFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

Format = Literal["onnx", "openvino", "torchscript", "safetensors", "h5"]

SUFFIXES: Final[Mapping[Format, str]] = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "torchscript": ".torchscript",
    "safetensors": ".safetensors",
    "h5": ".h5",
}
# Another order of the same sums in single precision; boxes are numbers of some hundred pixels
TOLERANCE: Final = 0.05
_SIDE_PX: Final = 320
_LINE_PX: Final = 48, 320


def export(file: ModelFile, form: Format, output: Path) -> list[Path]:
    """Write the model ``file`` in this form to ``output``; the files that were written.

    In a folder the file gets the model's name. What was at ``output`` is replaced. OpenVINO has
    two files, ``.xml`` and ``.bin``. Raises ``ModelError``, ``RuntimeMissing`` for what is not
    installed, ``InvalidOption`` for what a model of its kind cannot be, and ``StoreError`` where
    nothing can be written.
    """
    data = file.read()
    if output.is_dir():
        output = output / f"{file.path.stem}{SUFFIXES[form]}"
    with disk.told(), tempfile.TemporaryDirectory(prefix=".anpr-", dir=output.parent) as scratch:
        draft = Path(scratch) / output.name
        _MAKERS[form](data, file.path.stem, draft)
        # the one that names the others comes last
        made = sorted(Path(scratch).iterdir(), key=lambda path: path == draft)
        for path in made:
            path.chmod(0o644)
            path.replace(output.with_name(path.name))
    return [output.with_name(path.name) for path in reversed(made)]


def _onnx(data: bytes, name: str, draft: Path) -> None:
    draft.write_bytes(_as_onnx(data, name))


def _as_onnx(data: bytes, name: str) -> bytes:
    if not pickles.is_checkpoint(data):
        return data
    from anpr.models.compile import compile_detector

    side = checkpoint.load(data, name).side
    with tempfile.TemporaryDirectory(prefix="anpr-export-") as scratch:
        source, target = Path(scratch) / f"{name}.pt", Path(scratch) / f"{name}.onnx"
        source.write_bytes(data)
        compile_detector(source, target, imgsz=side)
        return target.read_bytes()


def _openvino(data: bytes, name: str, draft: Path) -> None:
    if draft.suffix != ".xml":
        raise InvalidOption("OpenVINO's model is a file .xml with a file .bin beside it.")
    openvino: Any = _needs("openvino", "openvino")
    import numpy as np

    graph = _as_onnx(data, name)
    with tempfile.TemporaryDirectory(prefix="anpr-export-") as scratch:
        source = Path(scratch) / "model.onnx"
        source.write_bytes(graph)
        try:
            converted = openvino.convert_model(source)
            openvino.save_model(converted, draft, compress_to_fp16=False)
            blank = _blank(graph)
            (wanted,) = make_session(graph, session_options(1)).run(
                None, {onnxfile.describe(graph).inputs[0].name: blank}
            )
            single = {"INFERENCE_PRECISION_HINT": "f32"}  # else in bfloat16 where the CPU can
            found = openvino.Core().compile_model(draft, "CPU", single)([blank])[0]
        except Exception as error:  # OpenVINO raises what it likes
            raise ModelUnusable(f"OpenVINO cannot take the model '{name}'.") from error
    if found.shape != wanted.shape or not np.abs(found - wanted).max() <= TOLERANCE:
        raise ModelUnusable("The exported model does not give what its source gives.")


def _torchscript(data: bytes, name: str, draft: Path) -> None:
    if not pickles.is_checkpoint(data):
        raise InvalidOption("TorchScript is made from a checkpoint (.pt), not from ONNX.")
    loaded = checkpoint.load(data, name)
    import torch

    class Boxes(torch.nn.Module):  # type: ignore[misc]  # Torch is not there for mypy
        """The first output: the others are for training, and a traced graph cannot have them."""

        def __init__(self) -> None:
            super().__init__()
            self.detector = loaded.model

        def forward(self, images: Any) -> Any:
            output = self.detector(images)
            return output[0] if isinstance(output, tuple | list) else output

    blank = torch.full((1, 3, loaded.side, loaded.side), 114 / 255)
    model = Boxes().eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Torch would rather have us use torch.export
            torch.jit.save(torch.jit.trace(model, blank, check_trace=False), str(draft))
            found, wanted = torch.jit.load(str(draft))(blank), model(blank)
    except Exception as error:
        raise ModelUnusable(f"Torch cannot write the model '{name}'.") from error
    if found.shape != wanted.shape or not (found - wanted).abs().max() <= TOLERANCE:
        raise ModelUnusable("The exported model does not give what its source gives.")


def _safetensors(data: bytes, name: str, draft: Path) -> None:
    library: Any = _needs("safetensors.numpy", "export")
    arrays = tensors.of_model(data, name)
    library.save_file(arrays, draft, metadata=_metadata(data, name))
    _compare(arrays, library.load_file(draft))


def _h5(data: bytes, name: str, draft: Path) -> None:
    """A dataset for each weight, in groups where its name has slashes."""
    library: Any = _needs("h5py", "export")
    arrays = tensors.of_model(data, name)
    try:
        with library.File(draft, "w") as file:
            file.attrs.update(_metadata(data, name))
            for key, array in arrays.items():
                file.create_dataset(key, data=array)
        with library.File(draft, "r") as file:
            _compare(arrays, {key: file[key][()] for key in arrays})
    except (ValueError, KeyError) as error:
        raise ModelUnusable("The names of the model's weights do not fit into HDF5.") from error


def _compare(wanted: Mapping[str, NDArray[Any]], found: Mapping[str, Any]) -> None:
    import numpy as np

    same = wanted.keys() == found.keys() and all(
        array.dtype == found[key].dtype and array.tobytes() == np.asarray(found[key]).tobytes()
        for key, array in wanted.items()
    )
    if not same:
        raise ModelUnusable("The exported weights are not those of the model.")


def _metadata(data: bytes, name: str) -> dict[str, str]:
    return {"name": name, "source_sha256": hashlib.sha256(data).hexdigest()}


def _blank(graph: bytes) -> NDArray[Any]:
    """A grey input of a shape that the graph takes."""
    import numpy as np

    shape = onnxfile.describe(graph).inputs[0].shape
    height, width = _LINE_PX if shape[2] == _LINE_PX[0] else (_SIDE_PX, _SIDE_PX)
    usual = (1, 3, height, width)
    free = [size if isinstance(size, int) else usual[axis] for axis, size in enumerate(shape)]
    return np.full(free, 114 / 255, np.float32)


def _needs(module: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise RuntimeMissing(
            f"This format needs the package '{package}': install the extra '{extra}'."
        ) from error


_MAKERS: Final[Mapping[Format, Callable[[bytes, str, Path], None]]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "torchscript": _torchscript,
    "safetensors": _safetensors,
    "h5": _h5,
}
