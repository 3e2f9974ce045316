"""A plan replayed over memory that holds tokens instead of numbers.

In: a :class:`~pelemay.plan.Plan`. Out: nothing, or a :class:`~pelemay.errors.PlanError`. It shares
nothing with what plans bands.

* :mod:`~pelemay.plan.replay.rules`: what can be seen without a replay: offsets, lifetimes, that
  every row is made once.
* :mod:`~pelemay.plan.replay.needs`: which rows a row is made of, from ONNX's own arithmetic.
* :mod:`~pelemay.plan.replay.moves`: nodes that only move elements.
* :mod:`~pelemay.plan.replay.memory`: what should lie where.
* :mod:`~pelemay.plan.replay.run`: the steps, one after the other.
"""
