"""Lightning callbacks for anybody's Trainer: collapse, fusion and nearest neighbours, watched."""

from df_heads.integrations.callbacks.collapse_monitor import CollapseMonitor
from df_heads.integrations.callbacks.fusion_monitor import FusionMonitor
from df_heads.integrations.callbacks.online_knn import OnlineKNN

__all__ = ["CollapseMonitor", "FusionMonitor", "OnlineKNN"]
