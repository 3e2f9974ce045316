"""Type inference against ONNX's backend tests and shape inference: neither knows our rules."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from onnx.backend.test.loader import load_model_tests

from pelemay.graph import ArrayConstant, Graph, TensorType, ValueType, walk
from pelemay.graph.operations import find
from pelemay.graph.typing import infer
from pelemay.importers import from_proto, load
from pelemay.models import get

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")

NOT_FOUND = {
    **dict.fromkeys(
        [
            "test_affine_grid_2d_align_corners_expanded",
            "test_affine_grid_2d_expanded",
            "test_affine_grid_3d_align_corners_expanded",
            "test_affine_grid_3d_expanded",
        ],
        "the numbers inside an If are not followed; the pass that inlines it finds them",
    ),
    **dict.fromkeys(
        [
            "test_loop13_seq",
            "test_loop16_seq_none",
            "test_sequence_map_add_1_sequence_1_tensor_expanded",
            "test_sequence_map_add_2_sequences_expanded",
            "test_sequence_map_extract_shapes_expanded",
            "test_sequence_map_identity_1_sequence_1_tensor_expanded",
            "test_sequence_map_identity_1_sequence_expanded",
            "test_sequence_map_identity_2_sequences_expanded",
            "test_sequence_model1",
            "test_sequence_model5",
        ],
        "lengths and contents of sequences are not followed",
    ),
    **dict.fromkeys(
        ["test_split_to_sequence_1", "test_split_to_sequence_2"],
        "the sizes are declared by a name that stands for nothing",
    ),
}
"""Tests whose declared types do not follow from the rules, and why."""


def feeds_of(case: Any, graph: Graph) -> dict[str, np.ndarray]:
    """The inputs of a test that are arrays."""
    if case.model_dir is None:
        values = list(case.data_sets[0][0])
    else:
        folder = Path(case.model_dir) / "test_data_set_0"
        files = [folder / f"input_{i}.pb" for i in range(len(graph.inputs))]
        values = [onnx.TensorProto.FromString(f.read_bytes()) for f in files if f.exists()]
        values = [onnx.numpy_helper.to_array(v) if v.data_type else None for v in values]
    arrays = zip(graph.inputs, values, strict=False)
    return {n: np.asarray(v) for n, v in arrays if isinstance(v, (np.ndarray, np.generic))}


def is_host(name: str, graph: Graph) -> bool:
    """Whether an operation reads that input as numbers."""
    for node in graph.nodes:
        row = find(node.op, node.domain)
        if name in node.inputs and row and (row.on_host or node.inputs.index(name) in row.host):
            return True
    return False


def bound(graph: Graph, feeds: dict[str, np.ndarray]) -> Graph:
    """The graph without declared types, in which host inputs and small vectors are constants."""
    known = {
        name: ArrayConstant.of(value)
        for name, value in feeds.items()
        if is_host(name, graph) or (value.ndim < 2 and value.size < 8 and graph.nodes[1:])
    }
    return replace(
        graph,
        inputs={name: kind for name, kind in graph.inputs.items() if name not in known},
        outputs=dict.fromkeys(graph.outputs),
        constants={**graph.constants, **known},
        types={},
    )


def agrees(found: ValueType | None, declared: ValueType | None) -> bool:
    """Whether what was found is at least what was declared."""
    if declared is None or found == declared:
        return True
    if not isinstance(found, TensorType) or not isinstance(declared, TensorType):
        return False
    if found.dtype is not declared.dtype or found.shape is None:
        return False
    if declared.shape is None:
        return True
    pairs = zip(found.shape, declared.shape, strict=False)
    same = all(f == d or not isinstance(d, int) for f, d in pairs)
    return same and len(found.shape) == len(declared.shape)


def fits(kind: ValueType | None, value: Any) -> bool:
    """Whether an array is of a type."""
    if not isinstance(kind, TensorType) or not isinstance(value, (np.ndarray, np.generic)):
        return True
    array = np.asarray(value)
    texts = array.dtype.kind in "OUS" and kind.dtype.value == "string"
    if not texts and array.dtype != kind.dtype.numpy:
        return False
    return agrees(TensorType(kind.dtype, array.shape), kind)


def cases() -> Iterator[tuple[Any, Graph]]:
    """The official tests all of whose nodes are in the operation table."""
    with warnings.catch_warnings():
        # The onnx package computes its own expected values here, some overflow on purpose.
        warnings.simplefilter("ignore")
        found = [case for kind in KINDS for case in load_model_tests(kind=kind)]
    for case in found:
        proto = case.model
        if proto is None:
            proto = (Path(case.model_dir) / "model.onnx").read_bytes()
        graph = from_proto(proto).graph
        if all(node.version == 0 for _, node in walk(graph)):
            yield case, graph


@pytest.mark.slow
def test_the_rules_find_what_the_official_tests_declare() -> None:
    missed, wrong, count = set(), set(), 0
    for case, graph in cases():
        found = infer(bound(graph, feeds_of(case, graph))).outputs
        count += 1
        if not all(agrees(found[name], kind) for name, kind in graph.outputs.items()):
            missed.add(case.name)
        real = case.data_sets[0][1] if case.data_sets else ()
        if not all(map(fits, found.values(), real)):
            wrong.add(case.name)
    assert wrong == set()
    assert missed == set(NOT_FOUND)
    assert count >= 1960


@pytest.mark.parametrize("name", ["resnet18-v1-7", "mobilenetv2-12", "squeezenet1.1-7", "vit_tiny"])
def test_the_rules_find_what_onnx_finds_in_networks(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PELEMAY_OFFLINE", "1")
    graph = load(get(name).path).graph
    bare = replace(graph, types={}, outputs=dict.fromkeys(graph.outputs))
    found = infer(bare)
    known = [n for n in (*graph.types, *graph.outputs) if graph.type_of(n) is not None]
    assert len(known) > 50
    assert [n for n in known if not agrees(found.type_of(n), graph.type_of(n))] == []
