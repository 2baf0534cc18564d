"""What a lighter architecture can take over from weights that were trained on another one.

Ultralytics copies tensors of the same name and shape. That leaves out the head, whose number
follows from how many layers come before it, and layers that became narrower. Here

- the head's tensors are matched by their name within the head (each level's score branch is
  kept; a box branch with other channels is left to be trained);
- a convolution that lost output channels keeps those that the next convolution weighs most
  (the l1 criterion of Li et al., arXiv:1608.08710), and the next one the matching inputs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_LAYER = re.compile(r"^model\.(\d+)\.")


def carried_over(
    source: Mapping[str, Any], target: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The tensors of ``target`` (a state dict) that ``source`` can fill, and the names of the rest.

    Both follow Ultralytics' names, ``model.LAYER.…``; the last layer of each is its head.
    """
    from_head, to_head = _head(source), _head(target)
    theirs = {
        name: re.sub(_LAYER, f"model.{from_head}.", name) if _layer(name) == to_head else name
        for name in target
    }
    kept = _kept_channels(source, target, theirs)
    filled: dict[str, Any] = {}
    for name, wanted in target.items():
        tensor = source.get(theirs[name])
        if tensor is None:
            continue
        for axis, channels in enumerate(kept.get(name, ())):
            if channels is not None:
                tensor = tensor.index_select(axis, channels)
        if tensor.shape == wanted.shape:
            filled[name] = tensor
    return filled, [name for name in target if name not in filled]


def _layer(name: str) -> int:
    found = _LAYER.match(name)
    return int(found[1]) if found else -1


def _head(state: Mapping[str, Any]) -> int:
    return max(map(_layer, state))


def _kept_channels(
    source: Mapping[str, Any], target: Mapping[str, Any], theirs: Mapping[str, str]
) -> dict[str, tuple[Any, ...]]:
    """For tensors of narrowed convolutions the channels to keep along their first two axes."""
    kept: dict[str, tuple[Any, ...]] = {}
    convolutions = [n for n in target if n.endswith("conv.weight") and theirs[n] in source]
    lost = {name: (source[theirs[name]].shape[:2], target[name].shape[:2]) for name in convolutions}
    for at, name in enumerate(convolutions):
        (had, inputs_had), (has, inputs_have) = lost[name]
        following = next(
            (n for n in convolutions[at + 1 :] if lost[n][0][1] != lost[n][1][1]), None
        )
        if has >= had or inputs_had != inputs_have or following is None:
            continue
        if (lost[following][0][1], lost[following][1][1]) != (had, has):
            continue  # something else lies between the two: not to be told from the names
        weights = source[theirs[following]]
        block = name.removesuffix("conv.weight")
        gain = source[theirs[f"{block}bn.weight"]].abs()
        strength = weights.abs().sum(dim=(0, 2, 3)) * gain
        channels = strength.argsort(descending=True)[:has].sort().values
        kept[name], kept[following] = (channels,), (None, channels)
        for part in ("weight", "bias", "running_mean", "running_var"):
            kept[f"{block}bn.{part}"] = (channels,)
    return kept
