"""What the methods, such as SimCLR, are made of."""
