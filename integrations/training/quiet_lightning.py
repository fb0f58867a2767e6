"""Lightning without its banners."""

import logging


def quiet_lightning() -> None:
    """Keep Lightning's banners and tips off the terminal; its warnings stay.

    To be called once Lightning is imported, which sets the level itself. Where both of its
    packages are, one speaks through the other's logger.
    """
    for package in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(package).setLevel(logging.WARNING)
