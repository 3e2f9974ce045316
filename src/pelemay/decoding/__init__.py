"""Language models that keep keys and values: compiled once, run token by token.

In: a decoder as exporters write it, with inputs and outputs for keys and values. Out: a ``.plm``
file of two plans over the same weights, one for a piece of a prompt and one for a single token, in
which keys and values have room for a whole context and are written where they lie; and a
:class:`Decoder`, which runs it.

>>> from pelemay.decoding.roles import roles_of
>>> ends = ("input_ids", "past_key_values.0.key"), ("logits", "present.0.key")
>>> roles_of(*ends).caches
{'past_key_values.0.key': 'present.0.key'}
"""

from pelemay.decoding.decoder import Decoder
from pelemay.decoding.sizes import Context

__all__ = ["Context", "Decoder"]
