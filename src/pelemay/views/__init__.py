"""Pictures of a model: what lies where in memory while it runs.

In: the path of a model, or a model. Out: :class:`Plans`, which a notebook shows as a page, and
which is written to a file with ``save``.

>>> callable(plans)
True
"""

from pelemay.views.limits import Plans, plans

__all__ = ["Plans", "plans"]
