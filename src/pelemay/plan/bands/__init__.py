"""Bands: parts of a network run a few rows at a time, so that early layers never exist whole.

In: a graph with static types, and a limit. Out: a :class:`~pelemay.plan.Plan` that keeps to it, the
fastest that was found.

* :mod:`~pelemay.plan.bands.rows`: which operations work row by row, and the rows that they need.
* :mod:`~pelemay.plan.bands.chain`: nodes done together.
* :mod:`~pelemay.plan.bands.sharing`: whose rows take the slots of whose.
* :mod:`~pelemay.plan.bands.run`: the steps of a chain, and the rows that are held.
* :mod:`~pelemay.plan.bands.cost`: what bands cost in time.
* :mod:`~pelemay.plan.bands.choose`: where chains begin and end.
* :mod:`~pelemay.plan.bands.contract`: the plan.
"""

from pelemay.plan.bands.within import Curve, Point, plan_least, plan_within

__all__ = ["Curve", "Point", "plan_least", "plan_within"]
