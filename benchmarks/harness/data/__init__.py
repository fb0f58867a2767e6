"""Images as uint8 arrays: where they are found, decoded, cached, and which a run uses.

May import base and store.
"""
