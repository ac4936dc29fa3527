"""What the threads of a warp do together: shuffles, and matrix fragments."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from graphc.ir.types import Array
from graphc_cuda.simulate.errors import refuse
from graphc_cuda.simulate.fragments import matrix_places, multiply_fragments
from graphc_cuda.simulate.lanes import WARP, Lanes
from graphc_cuda.simulate.memory import VectorArray
from graphc_cuda.simulate.source import KernelSource

FULL = 0xFFFFFFFF


def check_mask(mask: Any, lanes: Lanes, source: KernelSource, line: int) -> None:
    """Refuse a mask unless every thread that it names is here, with the same mask."""
    if any(_same_mask(mask, known) for known in lanes.checked):
        return
    masks = np.broadcast_to(np.asarray(mask, np.int64), lanes.size)
    outside = (masks >> lanes.lane & 1) == 0
    if outside.any():
        which = int(np.argmax(outside))
        name = lanes.name(which)
        refuse("shuffle", f"{name} is not in its own mask {masks[which]:#x}", source, line)
    groups, counts = np.unique(lanes.warp << 32 | masks, return_counts=True)
    for group, count in zip(groups.tolist(), counts.tolist()):
        wanted = (group & FULL).bit_count()
        if count != wanted:
            which = int(np.argmax((lanes.warp << 32 | masks) == group))
            message = f"the mask {group & FULL:#x} of {lanes.name(which)} names {wanted} threads"
            refuse("shuffle", f"{message}, but {count} of them are here", source, line)
    lanes.checked.append(mask)


def _same_mask(mask: Any, known: Any) -> bool:
    if mask is known:
        return True
    if isinstance(mask, np.ndarray) or isinstance(known, np.ndarray):
        return np.shape(mask) == np.shape(known) and bool((mask == known).all())
    return bool(mask == known)


def shuffle(mask: Any, value: Any, lane: Any, lanes: Lanes, source: KernelSource, line: int) -> Any:
    """Return what the value is for the thread with that number in the warp."""
    check_mask(mask, lanes, source, line)
    inside = (lane >= 0) & (lane < WARP)
    inside = inside & (np.asarray(mask, np.int64) >> np.where(inside, lane, 0) & 1 == 1)
    if not np.all(inside):
        which = int(np.argmax(~np.broadcast_to(inside, lanes.size)))
        named = int(np.broadcast_to(lane, lanes.size)[which])
        bits = int(np.broadcast_to(mask, lanes.size)[which])
        message = f"{lanes.name(which)} reads from lane {named}, which is not in its mask"
        refuse("shuffle", f"{message} {bits:#x}", source, line)
    if not isinstance(value, np.ndarray):
        return value
    places = lanes.ids - lanes.lane + np.asarray(lane).astype(np.int64)
    return value.take(places if lanes.is_whole else lanes.positions.take(places))


def multiply(
    name: str, fragments: tuple[Any, ...], lanes: Lanes, source: KernelSource, line: int
) -> tuple[Array, ...]:
    """Multiply and add the matrices of each warp."""
    check_mask(FULL, lanes, source, line)
    kinds = [np.uint32] * 6 + [np.float32] * 4
    for value, kind in zip(fragments, kinds):
        if getattr(value, "dtype", None) != kind:
            refuse("type", f"{name} takes {np.dtype(kind)}, not {value!r}", source, line)
    values = [np.broadcast_to(v, lanes.size).reshape(-1, WARP) for v in fragments]
    return tuple(v.reshape(-1) for v in multiply_fragments(name, values))


def load_matrix(
    array: VectorArray,
    index: Any,
    transposed: bool,
    lanes: Lanes,
    source: KernelSource,
    line: int,
) -> tuple[Array, ...]:
    """Load four 8 x 8 matrices of 16-bit elements for each warp, as uint32 pairs."""
    check_mask(FULL, lanes, source, line)
    if array.data.dtype != np.uint16 or not array.is_shared:
        _wrong_array(array, source, line)
    array.check_alignment(index, 8, lanes, line)
    starts = np.broadcast_to(index, lanes.size).reshape(-1, WARP)
    pairs = []
    for places in matrix_places(starts, transposed):
        low, high = (array.load(place.reshape(-1), lanes, line) for place in places)
        pairs.append(low.astype(np.uint32) | high.astype(np.uint32) << np.uint32(16))
    return tuple(pairs)


def _wrong_array(array: VectorArray, source: KernelSource, line: int) -> NoReturn:
    held = f"{array.name} holds {array.data.dtype}"
    refuse("type", f"load_matrix reads uint16 in shared memory; {held}", source, line)
