"""The heads inside solo-learn: `simclr_tph`, `byol_tph` and so on beside its own methods.

tph stands for Transformer projection head, ffn for the feed-forward one.

Its Hydra scripts find them as soon as df-heads is installed, without a change:

    python main_pretrain.py --config-path scripts/pretrain/cifar --config-name simclr.yaml \
        method=simclr_tph +head=tph_small name=simclr-tph-small-cifar10

Its other scripts are run through this module:

    python -m df_heads.integrations.solo_learn main_knn.py --pretrained_checkpoint_dir ...

In code, call `register()`, or give `with_head` a method of your own.
"""

from df_heads.integrations.solo_learn.backbone import load_backbone
from df_heads.integrations.solo_learn.methods import with_head
from df_heads.integrations.solo_learn.options import check_head_options
from df_heads.integrations.solo_learn.registry import register, unregister
from df_heads.integrations.solo_learn.support import METHOD_NAMES

__all__ = [
    "METHOD_NAMES",
    "check_head_options",
    "load_backbone",
    "register",
    "unregister",
    "with_head",
]
