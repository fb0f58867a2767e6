"""What a backbone can be exported to: one entry for each kind of file."""

from collections.abc import Mapping

from df_heads.integrations.export.onnx_file import OnnxFile
from df_heads.integrations.export.state_files import SafetensorsFile, TimmFile, TorchvisionFile
from df_heads.integrations.export.target import Target
from df_heads.integrations.export.torch_program import TorchProgram

__all__ = ["TARGETS", "Target"]

#: By the name that --to takes.
TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (TimmFile(), TorchvisionFile(), OnnxFile(), TorchProgram(), SafetensorsFile())
}
