"""ONNX Runtime with the options that lower its memory."""

from pathlib import Path

from pelemay.backends.packages import import_packages
from pelemay.errors import ModelError, UnsupportedError


class FrugalBackend:
    name = "frugal"
    description = "ONNX Runtime without arena, prepacked weights and optimisations"
    requires = ("onnxruntime",)

    def import_runtime(self):
        import_packages(self)

    def prepare(self, path: Path, *, threads: int | None = None):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.enable_cpu_mem_arena = False
        unoptimised = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = unoptimised
        options.add_session_config_entry("session.disable_prepacking", "1")
        try:
            return Runnable(onnxruntime.InferenceSession(str(path), options))
        except Exception as error:
            raise ModelError(str(error), where=str(path)) from error

    def parameters(self, path: Path):
        raise UnsupportedError("a session gives no parameters", where="backend 'frugal'")

    def serialize(self, parameters):
        raise UnsupportedError("a session gives no parameters", where="backend 'frugal'")


class Runnable:
    def __init__(self, session):
        self.session = session

    def run(self, feeds, outputs=None):
        names = list(outputs or (output.name for output in self.session.get_outputs()))
        return dict(zip(names, self.session.run(names, dict(feeds)), strict=True))
