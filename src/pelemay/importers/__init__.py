"""Reading models: files in, checked models out, weights still in the file.

>>> from pelemay.importers import load
>>> load("no-such-file.onnx")
Traceback (most recent call last):
pelemay.errors.ModelError: no-such-file.onnx: cannot be read: No such file or directory
"""

from pelemay.importers.model import Metadata, Model, ValueInfo, from_proto, load
from pelemay.importers.parameters import Parameters
from pelemay.importers.stored import Placement

__all__ = ["Metadata", "Model", "Parameters", "Placement", "ValueInfo", "from_proto", "load"]
