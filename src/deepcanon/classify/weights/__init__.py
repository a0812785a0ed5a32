"""Weights that others trained: which tensor of theirs is which of ours."""
