"""Pictures of a model: what is in it, and what lies where in memory while it runs.

In: the path of a model, or a model. Out: :class:`Inspection` and :class:`Plans`, which a notebook
shows as pages, and which are written to files with ``save``.

>>> callable(plans), callable(inspect)
(True, True)
"""

from pelemay.views.inspection import Inspection, inspect
from pelemay.views.limits import Plans, plans

__all__ = ["Inspection", "Plans", "inspect", "plans"]
