"""Joining values into storages, one wish after the other.

In: values, and wishes that one lie where a view of another does. Out: storages. A wish is granted
when every layout can be said with strides that the kernels take, and when no write destroys what
is still to be read.

>>> from pelemay.plan.layout import Reshape
>>> forest = Forest()
>>> forest.add(Value("x", (4,), 4, made=0))
>>> forest.add(Value("y", (2, 2), 4, made=1))
>>> forest.join("y", "x", Reshape((2, 2)), Content.SHARED)
True
>>> forest.storage_of["y"].root, forest.layouts["y"].strides
('x', (2, 1))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from pelemay.plan.layout import Layout, Same, View, Window, overlap, tidy
from pelemay.plan.storage import Atom, Content, Proposal, Storage, Touch, Value


class Forest:
    """All values of a graph, joined into storages.

    Attributes
    ----------
    values : dict
        By name.
    layouts : dict
        Of each value, in elements from the start of its storage.
    storage_of : dict
        The storage that each value lies in.
    touches : dict
        The steps that read each value's elements.
    """

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}
        self.layouts: dict[str, Layout] = {}
        self.storage_of: dict[str, Storage] = {}
        self.touches: dict[str, list[Touch]] = {}
        self._sources: dict[str, list[str | Atom]] = {}
        self._windows: dict[Atom, Window] = {}
        self._copied: dict[Atom, str] = {}
        self._edges: dict[str, list[tuple[str, View | None]]] = {}

    def add(self, value: Value, operands: Sequence[str] = (), parts: Sequence[Window] = ()) -> None:
        """Take in a value that lies alone.

        Parameters
        ----------
        value : Value
            The value.
        operands, parts : sequence
            With a concatenation: what it copies into the value, and to where.
        """
        name = value.name
        pieces = range(len(parts)) if parts else (-1,)
        atoms = [Atom(name, piece, value.made) for piece in pieces]
        self._windows.update(zip(atoms, parts, strict=False))
        self._copied.update(zip(atoms, operands if parts else (), strict=False))
        self.values[name] = value
        self.layouts[name] = Layout.dense(value.shape)
        self.storage_of[name] = Storage(name, [name], value.owner, list(atoms))
        self.touches[name] = []
        self._sources[name] = list(atoms)
        self._edges[name] = []

    def touch(self, name: str, step: int, *, replaceable: bool = False) -> None:
        """A step reads the value's elements; ``replaceable`` if its output may take their place."""
        self.touches[name].append(Touch(step, replaceable))

    def untouch(self, name: str, step: int) -> None:
        """A step does not read the elements after all."""
        found = next(touch for touch in self.touches[name] if touch.step == step)
        self.touches[name].remove(found)

    def join(self, child: str, parent: str, view: View, content: Content, part: int = -1) -> bool:
        """Make ``child`` lie where ``view`` of ``parent`` does, if that is possible.

        Parameters
        ----------
        child, parent : str
            Two values.
        view : View
            What the child is of the parent.
        content : Content
            Whose elements these are.
        part : int
            With ``Content.PART``: which operand of the concatenation ``parent`` the child is.

        Returns
        -------
        bool
            Whether it is so now; if not, nothing has changed.
        """
        a, b = self.storage_of[child], self.storage_of[parent]
        if self.values[child].itemsize != self.values[parent].itemsize or (
            a is not b and a.owner and b.owner
        ):
            return False
        undo = self._share(child, parent, content, part)
        if a is b:
            if self._lies_right(child, parent, view) and self._is_safe(
                a.atoms, a.members, {}, a.atoms
            ):
                return True
        else:
            for proposal in self._proposals(child, parent, view):
                if self._fits(proposal, a, b) and self._is_harmless(
                    proposal, child, parent, content
                ):
                    self._commit(proposal, a, b)
                    return True
        undo()
        return False

    def atoms_of(self, name: str) -> Iterator[Atom]:
        """The pieces that make up a value's elements."""
        stack: list[str | Atom] = [name]
        while stack:
            item = stack.pop()
            if isinstance(item, Atom):
                yield item
            else:
                stack.extend(self._sources[item])

    def atom_elements(self, atom: Atom) -> int:
        """Elements of one piece."""
        return math.prod(self._atom_layout(atom, {}).shape)

    def storages(self) -> Iterator[Storage]:
        """Every storage once."""
        for name, storage in self.storage_of.items():
            if storage.members[0] == name:
                yield storage

    def _share(self, child: str, parent: str, content: Content, part: int) -> Callable[[], None]:
        """Note whose elements are whose; the result takes it back."""
        if content is Content.OWN:
            return lambda: None
        holder = child if content is Content.SHARED else parent
        index = 0 if content is Content.SHARED else part
        storage, source = self.storage_of[holder], self._sources[holder]
        before = source[index]
        source[index] = parent if content is Content.SHARED else child
        atoms = list(storage.atoms)
        if isinstance(before, Atom):
            storage.atoms.remove(before)

        def undo() -> None:
            source[index] = before
            storage.atoms[:] = atoms

        return undo

    def _lies_right(self, child: str, parent: str, view: View) -> bool:
        wanted = view.apply(self.layouts[parent])
        return wanted is not None and tidy(wanted) == self.layouts[child]

    def _proposals(self, child: str, parent: str, view: View) -> Iterator[Proposal]:
        a, b = self.storage_of[child], self.storage_of[parent]
        if moved := self._spread(child, view.apply(self.layouts[parent])):
            yield Proposal(moved, parent, child, view, b.root)
        back = view.inverse(self.values[parent].shape)
        if back and (moved := self._spread(parent, back.apply(self.layouts[child]))):
            yield Proposal(moved, child, parent, back, a.root)
        around = self._around(child, view)
        if around and (moved := self._spread(a.root, around.apply(self.layouts[parent]))):
            yield Proposal(moved, parent, a.root, around, b.root)

    def _around(self, child: str, view: View) -> Window | None:
        """Where the whole that ``child`` is a part of would lie, so that the part lies right."""
        root = self.storage_of[child].root
        whole, piece = self.layouts[root], self.layouts[child]
        if root == child or not isinstance(view, Window) or set(view.steps) - {1}:
            return None
        if len(whole.shape) != len(piece.shape):
            return None
        differ = [d for d, n in enumerate(whole.shape) if n != piece.shape[d]]
        if len(differ) > 1:
            return None
        axis = differ[0] if differ else 0
        start, rest = divmod(piece.offset, max(whole.strides[axis], 1))
        same = [d for d, n in enumerate(piece.shape) if n > 1 and d != axis]
        if rest or any(whole.strides[d] != piece.strides[d] for d in same):
            return None
        starts = tuple(s - start * (d == axis) for d, s in enumerate(view.starts))
        return Window(starts, view.steps, whole.shape)

    def _spread(self, start: str, layout: Layout | None) -> dict[str, Layout] | None:
        """Layouts of all values joined to ``start`` if it lay as given; None if one cannot."""
        if layout is None:
            return None
        moved = {start: tidy(layout)}
        stack = [start]
        while stack:
            at = stack.pop()
            for name, view in self._edges[at]:
                if name in moved:
                    continue
                found = view.apply(moved[at]) if view else None
                if found is None:
                    return None
                moved[name] = tidy(found)
                stack.append(name)
        return moved

    def _fits(self, proposal: Proposal, a: Storage, b: Storage) -> bool:
        """Whether the kernels take the layouts, and an owner's memory is filled exactly."""
        values, moved = self.values, proposal.moved
        if not all(values[name].accepts(layout) for name, layout in moved.items()):
            return False
        owner = a.owner or b.owner
        if not owner:
            return True
        layout = moved.get(owner, self.layouts[owner])
        sizes = math.prod(values[proposal.root].shape), math.prod(values[owner].shape)
        return layout.offset == 0 and layout.is_dense and sizes[0] == sizes[1]

    def _is_harmless(self, proposal: Proposal, child: str, parent: str, content: Content) -> bool:
        """Whether no write of one storage destroys what is read from the other.

        Within each of them nothing changes, but for what a view or a concatenation now reads.
        """
        a, b = self.storage_of[child], self.storage_of[parent]
        moved = proposal.moved
        from_a, from_b = list(a.atoms), list(b.atoms)
        if content is Content.SHARED:
            shared = list(self.atoms_of(parent))
            from_a += shared
            if not self._is_safe(a.atoms, a.members, moved, shared):
                return False
        if content is Content.PART:
            shared = list(self.atoms_of(child))
            from_b += shared
            if not self._is_safe(b.atoms, b.members, moved, shared):
                return False
        return self._is_safe(a.atoms, b.members, moved, from_b) and self._is_safe(
            b.atoms, a.members, moved, from_a
        )

    def _is_safe(
        self,
        writes: Iterable[Atom],
        readers: Iterable[str],
        moved: dict[str, Layout],
        pool: Collection[Atom],
    ) -> bool:
        """Whether no write destroys an atom of the pool that a reader still needs."""
        for atom in writes:
            place = self._atom_layout(atom, moved)
            victims = {
                other
                for other in pool
                if other.step <= atom.step
                and other != atom
                and overlap(place, self._atom_layout(other, moved))
            }
            source = self._copied.get(atom)
            if victims and source and (moved.get(source) or self.layouts[source]) == place:
                # The copy puts the same elements where they are already.
                victims.difference_update(self.atoms_of(source))
            if victims and any(
                self._destroys(atom, place, name, moved, victims) for name in readers
            ):
                return False
        return True

    def _destroys(
        self, atom: Atom, place: Layout, name: str, moved: dict[str, Layout], victims: set[Atom]
    ) -> bool:
        """Whether writing ``atom`` destroys what a value's readers still need."""
        touches = self.touches[name]
        last = max((touch.step for touch in touches), default=-1)
        layout = moved.get(name) or self.layouts[name]
        if atom.step > last or not overlap(place, layout):
            return False
        replaceable = all(touch.replaceable for touch in touches if touch.step == last)
        if atom.step == last and replaceable and place == layout:
            return False
        return self._holds(name, place, moved, victims)

    def _holds(self, name: str, place: Layout, moved: dict[str, Layout], atoms: set[Atom]) -> bool:
        """Whether what a value has at a place is of one of these atoms."""
        stack: list[str | Atom] = [name]
        while stack:
            item = stack.pop()
            if isinstance(item, Atom):
                if item in atoms:
                    return True
            elif overlap(place, moved.get(item) or self.layouts[item]):
                stack.extend(self._sources[item])
        return False

    def _atom_layout(self, atom: Atom, moved: dict[str, Layout]) -> Layout:
        layout = moved.get(atom.value) or self.layouts[atom.value]
        window = self._windows.get(atom)
        part = window.apply(layout) if window else layout
        return part or layout

    def _commit(self, proposal: Proposal, a: Storage, b: Storage) -> None:
        self.layouts.update(proposal.moved)
        back = proposal.view.inverse(self.values[proposal.parent].shape)
        self._edges[proposal.parent].append((proposal.child, proposal.view))
        self._edges[proposal.child].append((proposal.parent, back))
        small, large = (a, b) if len(a.members) < len(b.members) else (b, a)
        large.members.extend(small.members)
        large.atoms.extend(small.atoms)
        large.root, large.owner = proposal.root, a.owner or b.owner
        self.storage_of.update(dict.fromkeys(small.members, large))


__all__ = ["Atom", "Content", "Forest", "Same", "Storage", "Touch", "Value"]
