"""Training on one's own pictures, and what the features that come out are worth.

>>> from df_heads.integrations.own_images import evaluate, train
>>> run = train("shapes", "runs/shapes")
>>> print(evaluate(run, "shapes"))
"""

from df_heads.integrations.own_images.evaluation import evaluate
from df_heads.integrations.own_images.training import train

__all__ = ["evaluate", "train"]
