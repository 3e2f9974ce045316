"""Drawings of an arena: time to the right, bytes upwards, a rectangle for each buffer.

In: :class:`Picture`, from a plan or from blocks with offsets. Out: cells of a terminal
(:mod:`pelemay.plan.drawing.cells`) or an SVG file (:mod:`pelemay.plan.drawing.svg`).
"""

from pelemay.plan.drawing.picture import Picture, Rectangle, Span

__all__ = ["Picture", "Rectangle", "Span"]
