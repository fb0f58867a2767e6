"""Lightning without its banners."""

import logging


def quiet_lightning() -> None:
    """Keep Lightning's banners and tips off the terminal; its warnings stay.

    To be called once Lightning is imported, which sets the level itself.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
