"""What SimCLR, MoCo and BYOL are made of."""
