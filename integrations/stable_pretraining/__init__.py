"""The heads in stable-pretraining: views, teachers and batched augmentation in its dict world.

>>> import stable_pretraining as spt
>>> from stable_pretraining.forward import simclr
>>> from df_heads import TransformerProjectionHead
>>> from df_heads.integrations.stable_pretraining import with_views
>>> spt.Module(
...     forward=with_views(simclr, "joint"),
...     backbone=backbone,
...     projector=TransformerProjectionHead(512, 128, 128),
...     simclr_loss=spt.losses.NTXEntLoss(temperature=0.2),
... )

A head is a plain `projector=`. What is here is what that alone does not give: both views in one
sequence, teachers that drop nothing out, and our views of whole batches as its gpu_transform. The
callbacks of `df_heads.integrations.callbacks` work as they are.
"""

from df_heads.integrations.stable_pretraining.augmenting import TwoViewsInBatch
from df_heads.integrations.stable_pretraining.teachers import teacher_student
from df_heads.integrations.stable_pretraining.views import with_views

__all__ = ["TwoViewsInBatch", "teacher_student", "with_views"]
