"""Small models of giant values: refused, or compiled without the values.

Each is compiled in a process whose address space is bounded: a large allocation fails.
"""

from __future__ import annotations

HEADER = '<ir_version: 10, opset_import: ["" : 21]>'
MODELS = {
    "constant": "<int64[1] s = {4000000000}> { c = ConstantOfShape (s) y = Add (c, x) }",
    "too_long": "<int64[1] s = {1000000000000}> { y = ConstantOfShape (s) }",
    "expand": "<int64[2] s = {1000000, 1000000}> { y = Expand (x, s) }",
    "product": "<int64[4] s = {4611686018427387904, 4, 4, 4}> { y = Expand (x, s) }",
    "sum": "<float[1] c = {1.0}, int64[2] s = {1000000, 1000000}>"
    " { e = Expand (c, s) r = ReduceSum <keepdims = 0> (e) y = Add (x, r) }",
    "tile": "<int64[1] s = {4000000000}> { y = Tile (x, s) }",
    "range": "<int64 a = {0}, int64 b = {4000000000}, int64 d = {1}>"
    " { r = Range (a, b, d) f = Cast <to = 1> (r) y = Add (f, x) }",
    "loop": "<int64 n = {100000000}, bool c = {1}> { y, z = Loop (n, c, x) <body = b"
    " (int64 i, bool ci, float[1] s) => (bool co, float[1] t, float[1] o)"
    " { co = Identity (ci) t = Add (s, s) o = Identity (t) }> }",
    "weights": "<int64[4] s = {100000, 3, 1000, 1000}, int64[4] t = {1, 3, 1000, 1000}>"
    " { w = ConstantOfShape (s) e = Expand (x, t) y = Conv (e, w) }",
    "sequence": "<int64[1] s = {1000000000}> { c = ConstantOfShape (s)"
    " q = SplitToSequence (c) l = SequenceLength (q) f = Cast <to = 1> (l) y = Add (f, x) }",
    "resize": "<int64[3] t = {1, 1, 1}, float[3] s = {1.0, 1.0, 2000000000.0}>"
    ' { e = Expand (x, t) y = Resize <mode = "linear"> (e, , s) }',
    "doubled": "{ v0 = Identity (x) "
    + " ".join(f"v{i + 1} = Concat <axis = 0> (v{i}, v{i})" for i in range(60))
    + " y = Relu (v60) }",
}

COMPILE = """
    import resource, sys, time
    from pathlib import Path
    import onnx.parser
    from pelemay.compilation import compile_graph
    from pelemay.errors import PelemayError
    from pelemay.importers import from_proto
    from pelemay.program.write import write_program
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (512 << 20),) * 2)
    for text in sys.argv[2:]:
        begin = time.process_time()
        try:
            program = compile_graph(from_proto(onnx.parser.parse_model(text)).graph)
            assert program.weights_bytes < 1 << 30, program.weights_bytes
            if program.weights_bytes < 1 << 20:
                write_program(program, sys.argv[1])
        except PelemayError as error:
            assert not isinstance(error.__cause__, MemoryError), error
        assert time.process_time() - begin < 20, text
    print("compiled")
"""


def test_giants_take_no_memory(run_python, tmp_path) -> None:
    texts = [f"{HEADER} g (float[1] x) => (y) {model}" for model in MODELS.values()]
    assert "compiled" in run_python(COMPILE, tmp_path / "m.plm", *texts)
