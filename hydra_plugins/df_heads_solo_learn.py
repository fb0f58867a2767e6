"""Found by Hydra in every app; does something in those that have imported solo-learn's methods."""

import sys
import warnings

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class DFHeadsSoloLearnPlugin(SearchPathPlugin):
    """Registers the `_tph` methods and adds their configs to the search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra before it composes a config."""
        if "solo.methods" not in sys.modules:
            return
        try:
            from df_heads.integrations.solo_learn import register

            register()
        except (ImportError, RuntimeError) as error:
            # The app may use a solo-learn that we do not support, without wanting our heads.
            warnings.warn(f"The _tph methods are not registered: {error}", stacklevel=2)
            return
        search_path.append("df-heads", "pkg://df_heads.integrations.solo_learn.configs")
