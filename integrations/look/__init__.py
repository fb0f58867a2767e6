"""Looking at a trained model: one HTML page that opens offline, and its figures as PNGs.

>>> from df_heads.integrations.look import look_at
>>> look_at("runs/shapes")
PosixPath('runs/shapes/look/look.html')
"""

from df_heads.integrations.look.looking import look_at

__all__ = ["look_at"]
