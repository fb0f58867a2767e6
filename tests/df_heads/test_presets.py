from typing import Any

import pytest
import timm
from torch import nn

from df_heads import HEAD_PRESETS, TransformerProjectionHead, create_head, list_heads


def test_every_name_of_the_list_is_a_head() -> None:
    assert len(list_heads()) == len(HEAD_PRESETS)
    assert list_heads() == sorted(list_heads())
    assert list_heads("*tied_large") == ["transformer_stable_tied_large", "transformer_tied_large"]
    assert list_heads("resnet*") == []
    for name in list_heads():
        preset = HEAD_PRESETS[name.replace("_", "-")]
        assert type(create_head(name, 16)).__name__ == preset.head_class


def test_the_width_is_the_backbones() -> None:
    backbone: Any = timm.create_model("test_resnet", num_classes=0)
    head = create_head("transformer", backbone, hidden_dim=8, num_layers=1)
    assert isinstance(head, TransformerProjectionHead)
    assert head.input_dim == backbone.num_features
    assert head.hidden_dim == 8


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="There is no head 'transfomer-small'. Did you mean"):
        create_head("transfomer_small", 16)
    with pytest.raises(TypeError, match="A Flatten does not say its width as num_features"):
        create_head("transformer", nn.Flatten())
    with pytest.raises(TypeError, match="name=3 must be the name of a head"):
        create_head(3, 16)  # type: ignore[arg-type]
