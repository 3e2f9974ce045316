"""The program room: a plan made into flat instructions, and the file that holds them.

In: a :class:`~pelemay.plan.Plan`. Out: a :class:`Program`, and its ``.plm`` file, which FORMAT.md
describes.
"""

from __future__ import annotations

from pelemay.program.operand import Operand
from pelemay.program.program import Block, Instruction, Program, Space, Tensor

__all__ = ["Block", "Instruction", "Operand", "Program", "Space", "Tensor"]
