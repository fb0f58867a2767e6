"""The head and the rows that are compared, by name; importing this imports no torch."""

WIDTH, LAYERS, HEADS, HEAD_DIM = 128, 5, 8, 64  # the paper's small head
#: nn.TransformerEncoder cannot have heads whose widths do not add up to that of the tokens.
NARROW_HEAD_DIM = WIDTH // HEADS
OURS = "df-heads"

LIGHTLY, KORNIA, EAGER, COMPILED = (
    "lightly's pipeline",
    "kornia on the device",
    "ours, eager",
    "ours, compiled",
)
LIGHTNING = "ours, compiled, in Lightning's Trainer"
BACKBONE, FAST_BACKBONE = "backbone alone, eager", "backbone alone, compiled"
#: What is compared with what: ours, compiled, over these.
COMPARED = (LIGHTLY, KORNIA, EAGER, FAST_BACKBONE)
