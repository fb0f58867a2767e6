"""ONNX, for onnxruntime and everything else that reads it."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from df_heads.integrations.export.target import Target
from df_heads.integrations.export.trained import Trained
from df_heads.integrations.files.atomic import write_whole


class OnnxFile(Target):
    """One file, input "images", output "features"; any batch size."""

    name = "onnx"
    file_name = "model.onnx"
    library = "onnx"
    packages = ("onnx", "onnxscript", "onnxruntime")

    def write(self, trained: Trained, file: Path) -> None:
        """See Target."""
        with tempfile.TemporaryDirectory() as folder, _quiet():
            written = Path(folder) / self.file_name
            torch.onnx.export(
                trained.backbone,
                (trained.example_images(),),
                str(written),
                input_names=["images"],
                output_names=["features"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
            content = written.read_bytes()
        write_whole(file, lambda stream: stream.write(content))

    def how_to_load(self, trained: Trained, file: str) -> str:
        """See Target."""
        return (
            "import onnxruntime\nimport torch\n\n"
            f"session = onnxruntime.InferenceSession({file!r})\n\n\n"
            "def model(images):\n"
            '    (features,) = session.run(["features"], {"images": images.numpy()})\n'
            "    return torch.from_numpy(features)\n"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its steps and warns of its own deprecations."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
