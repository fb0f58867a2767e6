"""A program of torch.export: code and weights in one file."""

import io
from pathlib import Path

import torch

from df_heads.integrations.export.target import Target
from df_heads.integrations.export.trained import Trained
from df_heads.integrations.files.atomic import write_whole


class TorchProgram(Target):
    """For PyTorch alone, in Python or through AOTInductor; any batch size."""

    name = "torch-export"
    file_name = "model.pt2"
    library = "pytorch"

    def write(self, trained: Trained, file: Path) -> None:
        """See Target."""
        images = trained.example_images()
        batch = {0: torch.export.Dim("batch")}
        program = torch.export.export(trained.backbone, (images,), dynamic_shapes=(batch,))
        content = io.BytesIO()
        torch.export.save(program, content)
        write_whole(file, lambda stream: stream.write(content.getbuffer()))

    def how_to_load(self, trained: Trained, file: str) -> str:
        """See Target."""
        return f"import torch\n\nmodel = torch.export.load({file!r}).module()\n"
