"""Training on one's own pictures, and what the features that come out are worth.

>>> from df_heads.integrations.own_images import train
>>> run = train("shapes", "runs/shapes")
"""

from df_heads.integrations.own_images.training import train

__all__ = ["train"]
