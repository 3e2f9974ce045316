"""A namespace's own kernel gives what the operation table means."""

from __future__ import annotations

import importlib

import array_api_compat.numpy
import numpy as np
import pytest

from pelemay.graph.operations import find


def array(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


X1, X2, X3 = array(2, 4, 9), array(2, 4, 9, 8), array(1, 4, 5, 6, 4)
W1, W2, W3 = array(6, 4, 3), array(6, 4, 3, 2), array(2, 4, 2, 3, 1)
B = array(6, seed=1)
PER_CHANNEL = [array(4, seed=i) for i in range(3)] + [np.abs(array(4, seed=4)) + 0.5]
HALF = array(2, 4, 9, 8, dtype=np.float16)
ONE = {"num_outputs": 1}
AT = np.array([[0, -1, 1], [2, 2, -2]], np.int64)

CASES = [
    ("Conv", [X1, W1, B], {}),
    ("Conv", [X2, W2, B], {"strides": (2, 1), "pads": (1, 0, 1, 0)}),
    ("Conv", [X2, W2, None], {"strides": (2, 3), "pads": (0, 1, 2, 1), "dilations": (2, 1)}),
    ("Conv", [X2, W2, B], {"auto_pad": "SAME_LOWER"}),
    ("Conv", [X2, W2], {"auto_pad": "SAME_UPPER", "strides": (3, 2)}),
    ("Conv", [X2, array(8, 2, 3, 3)], {"group": 2, "pads": (3, 3, 3, 3)}),
    ("Conv", [X2, array(8, 1, 3, 3)], {"group": 4, "strides": (2, 2)}),
    ("Conv", [X3, W3], {"pads": (1, 1, 1, 0, 0, 0)}),
    ("Conv", [HALF, W2.astype(np.float16)], {}),
    ("ConvTranspose", [X1, array(4, 3, 3), array(3)], {"strides": (2,), "pads": (1, 1)}),
    ("ConvTranspose", [X2, array(4, 3, 3, 2)], {"strides": (2, 3), "output_padding": (1, 2)}),
    ("ConvTranspose", [X2, array(4, 3, 3, 3)], {"group": 2, "dilations": (2, 1)}),
    ("ConvTranspose", [X2, array(4, 3, 3, 3)], {"pads": (0, 1, 2, 1), "strides": (2, 2)}),
    ("ConvTranspose", [X2, array(4, 3, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": (2, 2)}),
    ("ConvTranspose", [X2, array(4, 3, 3, 3)], {"output_shape": (18, 17), "strides": (2, 2)}),
    ("MaxPool", [X1], {"kernel_shape": (3,), **ONE}),
    ("MaxPool", [X2], {"kernel_shape": (3, 2), "strides": (2, 2), **ONE}),
    ("MaxPool", [X2], {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), **ONE}),
    ("MaxPool", [X2], {"kernel_shape": (2, 2), "pads": (0, 1, 1, 0), **ONE}),
    ("MaxPool", [X2], {"kernel_shape": (2, 2), "dilations": (2, 3), **ONE}),
    (
        "MaxPool",
        [X2],
        {"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": 1, **ONE},
    ),
    ("MaxPool", [X2], {"kernel_shape": (2, 2), "strides": (2, 2), "num_outputs": 2}),
    ("MaxPool", [(X2 * 9).astype(np.int8)], {"kernel_shape": (2, 2), **ONE}),
    ("AveragePool", [X2], {"kernel_shape": (3, 2), "strides": (2, 2)}),
    ("AveragePool", [X2], {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}),
    (
        "AveragePool",
        [X2],
        {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "strides": (2, 2), "count_include_pad": 1},
    ),
    ("AveragePool", [X2], {"kernel_shape": (3, 3), "pads": (0, 1, 2, 1), "ceil_mode": 1}),
    ("BatchNormalization", [X2, *PER_CHANNEL], {"epsilon": 1e-3}),
    ("BatchNormalization", [HALF, *PER_CHANNEL], {}),
    ("LayerNormalization", [X2, array(8), array(8, seed=1)], {}),
    ("LayerNormalization", [X2, array(9, 8)], {"axis": 2, "epsilon": 1e-2}),
    ("LayerNormalization", [X2, array(1)], {}),
    ("InstanceNormalization", [X2, *PER_CHANNEL[:2]], {"epsilon": 1e-3}),
    ("InstanceNormalization", [X2[:, :, :1, :1], *PER_CHANNEL[:2]], {}),
    ("GroupNormalization", [X2, *PER_CHANNEL[:2]], {"num_groups": 2}),
    ("Relu", [X2], {}),
    ("Relu", [(X2 * 9).astype(np.int32)], {}),
    ("LeakyRelu", [X2], {"alpha": 0.3}),
    ("Sigmoid", [20 * X2], {}),
    ("HardSwish", [5 * X2], {}),
    ("Swish", [X2], {}),
    ("Swish", [X2], {"alpha": 1.7}),
    ("Erf", [3 * X2], {}),
    ("Gelu", [3 * X2], {}),
    ("Gelu", [3 * X2], {"approximate": "tanh"}),
    ("Softmax", [X2], {"axis": 1}),
    ("Softmax", [HALF], {}),
    ("LogSoftmax", [X2], {}),
    ("Gemm", [array(3, 5), array(5, 4), array(4)], {"alpha": 0.5, "beta": 2.0}),
    ("Gemm", [array(5, 3), array(4, 5), array(3, 1)], {"transA": 1, "transB": 1}),
    ("Gemm", [array(3, 5), array(5, 4)], {}),
    ("Einsum", [X2, array(8, 3)], {"equation": "...i,ij->...j"}),
    ("Einsum", [array(4, 4)], {"equation": "ii"}),
    ("Gather", [X2, AT], {"axis": 2}),
    ("Gather", [X2, AT.astype(np.int32)], {"axis": -1}),
    ("ScatterElements", [array(3, 4), AT, array(2, 3)], {"reduction": "add"}),
    ("ScatterElements", [array(3, 4), AT, array(2, 3)], {"axis": 1, "reduction": "mul"}),
    ("ScatterElements", [array(3, 4), AT, array(2, 3)], {"axis": -1, "reduction": "max"}),
    ("ScatterElements", [array(3, 4), AT[:, :2], array(2, 2)], {"axis": 1}),
    ("ScatterElements", [array(3, 4) > 0, AT[:, :2], array(2, 2) > 0], {"axis": 1}),
    ("ScatterND", [array(3, 4), np.array([[0], [-1]]), array(2, 4)], {}),
    ("ScatterND", [array(3, 4), AT[:, :2] % 3, array(2)], {"reduction": "min"}),
    ("ScatterND", [array(3, 4), np.array([[1], [1]]), array(2, 4)], {"reduction": "add"}),
]


def meaning_of(kernels, name):
    """The kernel, or the table's own meaning where there is none; it always gives a tuple."""
    meaning = kernels.get(("", name), find(name).meaning)

    def tupled(*inputs, **attributes):
        found = meaning(*inputs, **attributes)
        return found if isinstance(found, tuple) else (found,)

    return tupled


def over_torch(name, inputs, attributes):
    pytest.importorskip("torch")
    import array_api_compat.torch as xp

    from pelemay.backends.kernels_torch import KERNELS
    from pelemay.backends.via_torch import to_tensor

    return meaning_of(KERNELS, name)(xp, *map(to_tensor, inputs), **attributes)


def over_jax(name, inputs, attributes):
    jax = pytest.importorskip("jax")

    from pelemay.backends.kernels_jax import KERNELS
    from pelemay.backends.via_jax import to_device

    meaning = meaning_of(KERNELS, name)
    with jax.enable_x64(True):
        traced = jax.jit(lambda *given: meaning(jax.numpy, *given, **attributes))
        return traced(*map(to_device, inputs))


@pytest.mark.parametrize("over", [over_torch, over_jax])
@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_kernel_means_what_the_table_means(over, name, inputs, attributes):
    want = meaning_of({}, name)(array_api_compat.numpy, *inputs, **attributes)
    got = over(name, inputs, attributes)
    assert len(got) == len(want)
    for mine, table in zip(map(np.asarray, got), want, strict=True):
        assert mine.dtype == table.dtype
        assert mine.shape == table.shape
        bound = 2e-3 if table.dtype == np.float16 else 2e-5
        np.testing.assert_allclose(mine, table, rtol=bound, atol=bound)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_every_kernel_has_a_case(framework):
    pytest.importorskip(framework)
    kernels = importlib.import_module(f"pelemay.backends.kernels_{framework}").KERNELS
    # Control flow runs in whole models.
    assert {name for _, name in kernels} <= {name for name, _, _ in CASES} | {"If", "Loop"}
