"""From a plan to a program: the calls with which a node becomes instructions.

In: a :class:`~pelemay.plan.Plan`. Out: calls of kernels, and weights that are not made yet. A
function of :mod:`pelemay.program.lower` takes a :class:`Lowering` and a node, asks for operands and
emits instructions; a node that has no such function, or whose function raises what
:meth:`Lowering.unsupported` gives, becomes a ``host`` instruction, run by the reference backend.

>>> hex(param_bits(1.0))
'0x3ff0000000000000'
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import GraphError, UnsupportedError
from pelemay.graph import Constant, DType, Graph, TensorType
from pelemay.program.narrow import Whole, floats
from pelemay.program.operand import Call, Operand, Panels
from pelemay.program.pack import raw_pieces
from pelemay.program.program import (
    MAX_OPERANDS,
    MAX_RANK,
    NATIVE_DTYPES,
    Space,
    Tensor,
    contiguous_strides,
)
from pelemay.program.tables import Weights

if TYPE_CHECKING:
    from pelemay.plan import Placement, Plan

Pack = Callable[[], Iterator[npt.NDArray[Any]]]


@dataclass(frozen=True, slots=True)
class Cut:
    """Rows [begin, end) along an axis of a value that has ``size`` of them."""

    axis: int
    begin: int
    end: int
    size: int

    def of(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """The shape of those rows."""
        return (*shape[: self.axis], self.end - self.begin, *shape[self.axis + 1 :])

    def undone(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of the value that these rows are cut from."""
        return (*shape[: self.axis], self.size, *shape[self.axis + 1 :])


SPACES = {"arena": Space.ARENA, "input": Space.INPUT, "output": Space.OUTPUT}


class Lowering:
    """What a lowering function works with; one for a whole plan.

    Parameters
    ----------
    plan : Plan
        Its graph, in the planned order, and where each value lies.
    weights : Weights
        Takes the blocks of weights.
    block_bytes : int, optional
        Above which a layer's packed weights are cut into several blocks, each with an instruction.
    stored : DType
        What the weights in panels are stored as.
    """

    def __init__(
        self,
        plan: Plan,
        weights: Weights,
        block_bytes: int | None = None,
        stored: DType = DType.FLOAT32,
    ) -> None:
        self.graph: Graph = plan.graph
        self.block_bytes = block_bytes
        self.stored = stored
        self._placements: Mapping[str, Placement] = plan.placements
        self._weights = weights
        self._indices = {
            Space.INPUT: {name: i for i, name in enumerate(plan.graph.inputs)},
            Space.OUTPUT: {name: i for i, name in enumerate(plan.graph.outputs)},
        }
        self._raw_keys: dict[int, str] = {}
        self._emitted: list[Call] = []
        self._cuts: Mapping[str, Cut] = {}
        self.rows: tuple[int, int] | None = None
        """Rows of the output that a kernel is asked for, [begin, end); None for all."""

    @contextmanager
    def band(
        self, rows: tuple[int, int] | None = None, cuts: Mapping[str, Cut] | None = None
    ) -> Iterator[None]:
        """While it lasts, some rows only are made.

        Parameters
        ----------
        rows : (int, int), optional
            For kernels that take a range of rows.
        cuts : mapping, optional
            Values that are shown as if the rows of their cut were all there is.
        """
        self.rows, self._cuts = rows, cuts or {}
        try:
            yield
        finally:
            self.rows, self._cuts = None, {}

    def type(self, name: str) -> TensorType:
        """The type of a value, its shape static.

        Raises
        ------
        UnsupportedError
            If it is not known, or not static; the node then becomes a ``host`` instruction.
        """
        found = self.graph.type_of(name)
        if not isinstance(found, TensorType) or found.nbytes is None:
            raise self.unsupported(f"the type of '{name}' is {found or 'not known'}")
        if name in self._cuts and found.shape is not None:
            return replace(found, shape=self._cuts[name].of(found.shape))
        return found

    def shape(self, name: str) -> tuple[int, ...]:
        """The static shape of a value."""
        return tuple(d for d in self.type(name).shape or () if isinstance(d, int))

    def constant(self, name: str) -> Constant | None:
        """The constant of that name; None for a value that the run makes, and for ``""``."""
        return self.graph.constants.get(name)

    def tensor(self, name: str) -> Operand:
        """A value where the plan placed it; a constant in C order among the weights."""
        kind = self.type(name)
        return self._placed(name, kind.dtype, self.shape(name))

    def view(
        self,
        name: str,
        *,
        offset: int = 0,
        shape: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        dtype: DType | None = None,
    ) -> Operand:
        """Another view of the memory that a value lies in.

        Parameters
        ----------
        name : str
            The value.
        offset : int
            Bytes from its first element.
        shape : sequence of int, optional
            The value's own if not given.
        strides : sequence of int, optional
            In elements; if not given, the value's own with its own shape, else those of C order.
        dtype : DType, optional
            The value's own if not given.
        """
        return self.view_of(
            self.tensor(name), offset=offset, shape=shape, strides=strides, dtype=dtype
        )

    def view_of(
        self,
        operand: Operand,
        *,
        offset: int = 0,
        shape: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        dtype: DType | None = None,
    ) -> Operand:
        """Another view of the memory of an operand; as :meth:`view`."""
        own = operand.tensor
        new_shape = own.shape if shape is None else tuple(map(int, shape))
        if strides is not None:
            new_strides = tuple(map(int, strides))
        else:
            new_strides = own.strides if shape is None else contiguous_strides(new_shape)
        tensor = replace(
            own,
            dtype=dtype or own.dtype,
            shape=new_shape,
            strides=new_strides,
            offset=own.offset + offset,
        )
        return Operand(self._checked(tensor), operand.block)

    def packed(
        self, name: str, key: str, shape: Sequence[int], dtype: DType | str, pack: Pack
    ) -> Operand:
        """A block of weights in a kernel's own layout, made while the file is written.

        Parameters
        ----------
        name : str
            The constant that it is made of; for messages, and with ``key`` its identity.
        key : str
            The layout: the same name and key are stored once.
        shape : sequence of int
            Shape of the packed array, C order.
        dtype : DType or str
            Its element type.
        pack : callable
            Gives an iterator over arrays whose elements, one after the other, are the packed
            array. Called once, when the file is written; no array should be above a few MiB.
        """
        kind = DType.of(dtype) if isinstance(dtype, str) else dtype
        sizes = tuple(map(int, shape))
        return self._in_block(f"{name}:{key}", name, kind, sizes, pack)

    @property
    def widens(self) -> bool:
        """Whether weights in panels are stored narrower than they are computed with."""
        return self.stored is not DType.FLOAT32

    def panels(self, name: str, key: str, shape: Sequence[int], pack: Pack) -> Panels:
        """Weights in panels, in the type that the program stores them as.

        Parameters are those of :meth:`packed`; what ``pack`` gives is float32, and each piece is
        whole panels of ``shape[1]`` steps.
        """
        if not self.widens:
            return Panels(self.packed(name, key, shape, DType.FLOAT32, pack))
        key, stored = f"{key}-{self.stored.value}", self.stored
        if stored is not DType.INT8:
            pieces = partial(floats, name, pack, stored)
            return Panels(self.packed(name, key, shape, stored, pieces))
        whole, columns = Whole(name, pack), shape[0] * shape[2]
        scales = self.packed(name, f"{key}-scales", (columns,), DType.FLOAT32, whole.scales)
        return Panels(self.packed(name, key, shape, stored, whole.values), (scales,))

    def raw(self, name: str, constant: Constant) -> Operand:
        """A constant in C order among the weights; one of a type that the engine lacks as bytes.

        The bytes are those of NumPy's elements, in a last dimension of their own.
        """
        key = self._raw_keys.setdefault(id(constant), f"{name}:raw")
        shape, dtype = constant.shape, constant.dtype
        if dtype not in NATIVE_DTYPES:
            shape, dtype = (*shape, dtype.numpy.itemsize), DType.UINT8
        return self._in_block(key, name, dtype, shape, lambda: raw_pieces(constant))

    def raw_bytes(self, name: str) -> Operand:
        """A value of a type that the engine lacks, as bytes: one dimension more, the last."""
        kind = self.type(name)
        if name in self.graph.constants:
            return self.raw(name, self.graph.constants[name])
        size = kind.dtype.numpy.itemsize
        strides = tuple(s * size for s in self._placements[name].strides)
        return self._placed(name, DType.UINT8, (*self.shape(name), size), (*strides, 1))

    def bits(self, name: str) -> Operand:
        """A value to be moved, not computed with: as :meth:`tensor`.

        One of a type of one byte that the engine lacks is shown as uint8.
        """
        if self.type(name).dtype in NATIVE_DTYPES:
            return self.tensor(name)
        raw = self.raw_bytes(name)
        if raw.shape[-1] != 1:
            raise self.unsupported(f"'{name}' has {raw.shape[-1]} bytes an element")
        return self.view_of(raw, shape=raw.shape[:-1], strides=raw.strides[:-1])

    def literal(self, array: npt.ArrayLike, dtype: DType | None = None) -> Operand:
        """A small array that the lowering knows, stored among the weights once."""
        value = np.ascontiguousarray(array, dtype.numpy if dtype else None)
        value = value.reshape(np.shape(array))
        kind = DType.of_numpy(value.dtype)
        digest = hashlib.sha256(value.tobytes()).hexdigest()[:32]
        key = f"={kind.value}{list(value.shape)}:{digest}"
        return self._in_block(key, "", kind, value.shape, lambda: iter((value,)))

    def scalar(self, value: float | bool, dtype: DType = DType.FLOAT32) -> Operand:
        """A literal of no dimensions."""
        return self.literal(np.asarray(value, dtype.numpy), dtype)

    def emit(
        self,
        opcode: str,
        inputs: Sequence[Operand | None],
        outputs: Sequence[Operand | None],
        params: Sequence[int | float] = (),
        *,
        cost: int | None = None,
        serial: bool = False,
    ) -> None:
        """Add an instruction.

        Parameters
        ----------
        opcode : str
            A name of ``native/vm/opcodes.def``.
        inputs, outputs : sequence of Operand or None
            None for one that is left out; at most 16 of each.
        params : sequence of int or float
            An int is kept as 64 bits with a sign, a float as the bits of a double.
        cost : int, optional
            Multiply-accumulates; the elements written if not given.
        serial : bool
            Whether one worker should do it alone, because there is so little to do.
        """
        if len(inputs) > MAX_OPERANDS or len(outputs) > MAX_OPERANDS:
            raise self.unsupported(f"{opcode} has more than {MAX_OPERANDS} operands")
        written = sum(operand.size for operand in outputs if operand is not None)
        bits = tuple(map(param_bits, params))
        total = written if cost is None else int(cost)
        self._emitted.append(Call(opcode, tuple(inputs), tuple(outputs), bits, total, serial))

    def copy(self, source: Operand, target: Operand) -> None:
        """Copy elements, unless both are the same view already."""
        if not source.is_same_view(target):
            self.emit("copy", [source], [target])

    def unsupported(self, reason: str) -> UnsupportedError:
        """What to raise for a node that the kernels cannot run; ``inspect`` shows the reason."""
        return UnsupportedError(reason)

    def take(self) -> list[Call]:
        """What was emitted since the last call, for whoever drives the lowering."""
        emitted, self._emitted = self._emitted, []
        return emitted

    def _placed(
        self,
        name: str,
        dtype: DType,
        shape: tuple[int, ...],
        strides: tuple[int, ...] | None = None,
    ) -> Operand:
        placement, cut = self._placements.get(name), self._cuts.get(name)
        if placement is None or placement.space == "constant":
            whole = shape if cut is None else cut.undone(shape)
            found = self._constant_view(name, dtype, whole, placement)
            return found if cut is None else self._shown(found, cut)
        space = SPACES[placement.space]
        indices = self._indices.get(space)
        tensor = Tensor(
            dtype,
            shape if cut is None else cut.undone(shape),
            tuple(map(int, placement.strides if strides is None else strides)),
            space,
            index=indices[placement.buffer] if indices is not None else 0,
            offset=int(placement.offset),
            ring=placement.ring,
            name=name,
        )
        operand = Operand(self._checked(tensor))
        return operand if cut is None else self._shown(operand, cut)

    def _shown(self, operand: Operand, cut: Cut) -> Operand:
        """The rows of a cut; they lie one after the other also where few are held."""
        tensor = operand.tensor
        first = cut.begin % tensor.ring if tensor.ring else cut.begin
        offset = first * tensor.strides[cut.axis] * tensor.dtype.numpy.itemsize
        shape = cut.of(tensor.shape)
        shown = replace(tensor, shape=shape, offset=tensor.offset + offset, ring=0)
        return Operand(shown, operand.block)

    def _constant_view(
        self, name: str, dtype: DType, shape: tuple[int, ...], placement: Placement | None
    ) -> Operand:
        """A constant, or a view of one."""
        origin = placement.buffer if placement is not None else name
        constant = self.graph.constants.get(origin)
        if constant is None:
            raise GraphError(f"value '{name}' has no place", hint="the plan has to give it one")
        raw = self.raw(origin, constant)
        if placement is None or name == origin:
            return raw
        offset, strides = int(placement.offset), placement.strides
        return self.view_of(raw, offset=offset, shape=shape, strides=strides, dtype=dtype)

    def _in_block(
        self, key: str, name: str, dtype: DType, shape: tuple[int, ...], pieces: Pack
    ) -> Operand:
        self._weights.offer(key, math.prod(shape) * dtype.numpy.itemsize, pieces)
        tensor = Tensor(dtype, shape, contiguous_strides(shape), Space.WEIGHTS, name=name)
        return Operand(self._checked(tensor), key)

    def _checked(self, tensor: Tensor) -> Tensor:
        if tensor.dtype not in NATIVE_DTYPES:
            raise self.unsupported(f"{tensor.dtype.value} is no type of the engine's")
        if len(tensor.shape) > MAX_RANK:
            raise self.unsupported(f"it has more than {MAX_RANK} dimensions")
        return tensor


def param_bits(value: int | float) -> int:
    """The 64 bits that stand for a parameter, as a signed integer.

    >>> param_bits(-1), param_bits(True), hex(param_bits(1.0))
    (-1, 1, '0x3ff0000000000000')
    """
    if isinstance(value, (float, np.floating)):
        bits: int = struct.unpack("<q", struct.pack("<d", float(value)))[0]
        return bits
    number = int(value)
    if not -(1 << 63) <= number < 1 << 63:
        raise UnsupportedError(f"the number {number} does not fit 64 bits")
    return number
