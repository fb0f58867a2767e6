"""What every training of ours needs beside its method: batches, checkpoints, signals, checks."""
