"""The frozen backbone and the methods that adapt it; knows tensors only."""
