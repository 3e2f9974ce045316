from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from pelemay.models import standins
from pelemay.models.standins import writer
from pelemay.models.standins.builder import Blueprint, GraphBuilder, Normal, Uniform, he_normal
from pelemay.models.standins.densenet import densenet121
from pelemay.models.standins.efficientnet import efficientnet_lite0
from pelemay.models.standins.inception import Module, inception_v1
from pelemay.models.standins.mobilenet import mobilenet_mxnet, mobilenet_torch
from pelemay.models.standins.resnet import BLOCKS, resnet18_fastai, resnet_zoo
from pelemay.models.standins.squeezenet import squeezenet1_1
from pelemay.models.standins.transformers import bert, vit
from pelemay.models.standins.yolo import yolov8n

STAGES = ((1, 8, 1, 1), (2, 12, 2, 2))

MODULES = (
    Module("3a", 8, (4, 8), (2, 4), 4),
    None,
    Module("4a", 8, (4, 8), (2, 4), 4),
)

TINY: dict[str, Callable[[], Blueprint]] = {
    "basic": lambda: resnet_zoo("r", (2, 1), bottleneck=False, width=8, classes=10, size=32),
    "bottleneck": lambda: resnet_zoo("r", (1, 2), bottleneck=True, width=8, classes=10, size=32),
    "fastai": lambda: resnet18_fastai(3, batch=2, width=4, hidden=8, size=64),
    "mobilenet_mxnet": lambda: mobilenet_mxnet(STAGES, classes=10, size=32),
    "mobilenet_torch": lambda: mobilenet_torch(STAGES, classes=10, size=32),
    "squeezenet": lambda: squeezenet1_1(((2, 8), None, (4, 8)), classes=10, size=64),
    "efficientnet": lambda: efficientnet_lite0(
        ((3, 1, 8, 1, 1), (5, 2, 12, 2, 2)), classes=10, size=32
    ),
    "densenet": lambda: densenet121((2, 3), growth=4, classes=10, size=32),
    "inception": lambda: inception_v1(MODULES, classes=10, size=64),
    "yolo": lambda: yolov8n(width=4, classes=5, size=64),
    "vit": lambda: vit(24, 3, layers=2, patch=8, classes=10, size=32),
    "bert": lambda: bert(2, 24, 3, tokens=12, vocabulary=50, positions=16),
}
EACH = pytest.mark.parametrize("kind", TINY)


def written(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.onnx"
    writer.write(TINY[kind](), path, seed=7)
    return path


def feeds(
    session: onnxruntime.InferenceSession, seed: int, tokens: int = 50
) -> dict[str, npt.NDArray[np.generic]]:
    rng = np.random.default_rng(seed)
    made: dict[str, npt.NDArray[np.generic]] = {}
    for put in session.get_inputs():
        shape = [d if isinstance(d, int) else 1 for d in put.shape]
        if put.type == "tensor(float)":
            made[put.name] = rng.standard_normal(shape, np.float32)
        elif put.name == "attention_mask":
            made[put.name] = np.ones(shape, np.int64)
        else:
            made[put.name] = rng.integers(0, tokens, shape)
    return made


LARGEST = {"yolo": 200}
"""What an output's standard deviation may be; boxes are in pixels."""


def check_runs(path: Path, largest: float = 20) -> None:
    """Outputs are finite, of a sensible scale, and differ clearly for two inputs."""
    session = onnxruntime.InferenceSession(path)
    one, two = (session.run(None, feeds(session, seed))[0] for seed in (1, 2))
    assert np.isfinite(one).all()
    assert 0.05 < one.std() < largest
    assert np.linalg.norm(one - two) > 0.1 * np.linalg.norm(one)


@EACH
def test_it_is_valid_onnx(kind: str, tmp_path: Path) -> None:
    model = onnx.load(written(kind, tmp_path))
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(
        model, check_type=True, strict_mode=True, data_prop=True
    )
    known = {value.name for value in (*inferred.graph.value_info, *inferred.graph.output)}
    assert {name for node in model.graph.node for name in node.output} <= known


@EACH
def test_it_runs(kind: str, tmp_path: Path) -> None:
    check_runs(written(kind, tmp_path), LARGEST.get(kind, 20))


@EACH
def test_every_parameter_is_read_by_a_node(kind: str) -> None:
    blueprint = TINY[kind]()
    read = {name for node in blueprint.model.graph.node for name in node.input}
    assert [p.name for p in blueprint.parameters if p.name not in read] == []


@EACH
def test_its_size_is_known_before(kind: str, tmp_path: Path) -> None:
    assert written(kind, tmp_path).stat().st_size == writer.size_bytes(TINY[kind]())


@EACH
def test_its_bytes_are_those_of_protobuf(kind: str, tmp_path: Path) -> None:
    """The file is what the onnx package would have written, byte by byte."""
    data = written(kind, tmp_path).read_bytes()
    assert onnx.load_from_string(data).SerializeToString(deterministic=True) == data


@EACH
def test_the_weights_lie_where_the_original_has_them(kind: str, tmp_path: Path) -> None:
    encoding = TINY[kind]().encoding
    floats = [
        t
        for t in onnx.load(written(kind, tmp_path)).graph.initializer
        if t.data_type == onnx.TensorProto.FLOAT
    ]
    assert floats
    assert all(bool(t.float_data) == (encoding == "float_data") for t in floats)
    assert all(t.HasField("raw_data") == (encoding == "raw_data") for t in floats)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = writer.write(TINY["bottleneck"](), tmp_path / "a", seed=7)
    again = writer.write(TINY["bottleneck"](), tmp_path / "b", seed=7)
    other = writer.write(TINY["bottleneck"](), tmp_path / "c", seed=8)
    assert first == again != other
    assert first == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()


def test_the_bytes_are_those_of_the_last_release() -> None:
    """A new digest means that GENERATION has to be raised, so that no cache mixes the two."""
    digest = hashlib.sha256(b"".join(writer.pieces(TINY["bottleneck"](), seed=7))).hexdigest()
    assert (standins.GENERATION, digest) == (
        1,
        "a5c038945683f34facfb6ebeac993436ffd6fa551882353a8418c4c102710660",
    )


def test_a_weight_does_not_depend_on_its_neighbours() -> None:
    def weight(*before: str) -> bytes:
        b = GraphBuilder("g", opset=13)
        for name in before:
            b.parameter(name, (3,), Uniform(0, 1))
        b.parameter("w", (5,), Normal(1.0))
        model = onnx.load_from_string(b"".join(writer.pieces(b.blueprint(), seed=1)))
        return bytes(model.graph.initializer[-1].raw_data)

    assert weight() == weight("a", "b")


@pytest.mark.parametrize("count", [1, 262_143, 262_144, 262_145, 300_000])
def test_pieces_are_small_and_add_up(count: int) -> None:
    b = GraphBuilder("g", opset=13)
    b.parameter("w", (count,), Normal(1.0))
    sizes = [len(piece) for piece in writer.pieces(b.blueprint(), seed=1)]
    assert sum(sizes) == writer.size_bytes(b.blueprint())
    assert max(sizes) <= 1 << 20


def test_centred_filters_have_the_mean_that_was_asked_for() -> None:
    b = GraphBuilder("g", opset=13)
    # One filter count that does not divide the size of a piece.
    b.parameter("w", (40_000, 9), Normal(1.0, centre=9, mean=0.5))
    model = onnx.load_from_string(b"".join(writer.pieces(b.blueprint(), seed=1)))
    values = onnx.numpy_helper.to_array(model.graph.initializer[0])
    np.testing.assert_allclose(values.mean(axis=1), 0.5, atol=1e-5)
    # Centring takes one of nine degrees of freedom.
    assert values.std() == pytest.approx((8 / 9) ** 0.5, rel=0.01)


def test_he_weights_keep_the_variance_of_rectified_values() -> None:
    assert he_normal(200, centre=False) == Normal(0.1)


@pytest.mark.parametrize("depth", sorted(BLOCKS))
def test_the_parameters_of_the_zoo(depth: int) -> None:
    """Counts of MXNet's Gluon zoo: He et al.'s networks, with biases in 1x1 convolutions."""
    counts = {
        18: 11_699_112,
        34: 21_814_696,
        50: 25_629_032,
        101: 44_695_144,
        152: 60_404_072,
    }
    made = resnet_zoo("r", BLOCKS[depth], bottleneck=depth >= 50)
    assert made.parameter_bytes == 4 * counts[depth]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_resnet101_is_written_in_little_memory(tmp_path: Path) -> None:
    """In a fresh process: 178 MB of weights, less than 40 MiB of private memory."""
    path = tmp_path / "resnet101.onnx"
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    peak_kib = int(done.stdout)
    assert peak_kib < 40 * 1024
    assert path.stat().st_size == pytest.approx(178_914_043, rel=1e-5)
    check_runs(path)


MEASURE = """
import pathlib, sys
import numpy, onnx
from pelemay.models import standins
from pelemay.models.standins import resnet, writer

def anonymous_kib():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1])

before, peak = anonymous_kib(), 0

def sample(count):
    global peak
    peak = max(peak, anonymous_kib())

blueprint = standins.blueprint("resnet101_v1", stand_in_for="resnet101-v1-7")
writer.write(blueprint, pathlib.Path(sys.argv[1]), seed=1, progress=sample)
print(peak - before)
"""


def test_names_of_the_zoo() -> None:
    model = standins.blueprint("resnet101_v1", stand_in_for="resnet101-v1-7").model
    names = [node.name for node in model.graph.node]
    assert names[:4] == [
        "resnetv18_conv0_fwd",
        "resnetv18_batchnorm0_fwd",
        "resnetv18_relu0_fwd",
        "resnetv18_pool0_fwd",
    ]
    assert names[-3:] == ["resnetv18_pool1_fwd", "flatten_932", "resnetv18_dense0_fwd"]
    assert "resnetv18_stage3_conv69_fwd" in names
    assert "resnetv18_stage1__plus0" in names
    assert "resnetv18_stage1_batchnorm3_running_var" in {v.name for v in model.graph.input}


def test_names_of_fastai() -> None:
    blueprint = standins.blueprint("resnet18_fastai_37", stand_in_for="cat_dog_breeds")
    names = [p.name for p in blueprint.parameters]
    assert names[:2] == ["1.2.weight", "1.2.bias"]
    assert names[-4:] == [
        "onnx::Conv_276",
        "onnx::Reshape_279",
        "onnx::MatMul_280",
        "onnx::MatMul_281",
    ]
    assert blueprint.model.graph.node[-1].name == "output1"


def test_a_stand_in_says_that_it_is_one() -> None:
    model = standins.blueprint("squeezenet1_1", stand_in_for="squeezenet1.1-7").model
    assert model.producer_name == "pelemay stand-in"
    assert "Its answers mean nothing" in model.doc_string
    assert {p.key: p.value for p in model.metadata_props} == {
        "pelemay.stand_in_for": "squeezenet1.1-7",
        "pelemay.stand_in_seed": str(standins.SEED),
    }


def test_a_masked_word_changes_nothing(tmp_path: Path) -> None:
    session = onnxruntime.InferenceSession(written("bert", tmp_path))
    first = feeds(session, 1)
    first["attention_mask"][0, 5] = 0
    second = {name: value.copy() for name, value in first.items()}
    second["input_ids"][0, 5] = (first["input_ids"][0, 5] + 1) % 50
    one, two = (session.run(None, f)[0] for f in (first, second))
    np.testing.assert_array_equal(np.delete(one, 5, axis=1), np.delete(two, 5, axis=1))
    assert (one[0, 5] != two[0, 5]).any()
