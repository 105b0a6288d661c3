"""Encoders that other people trained, with the preprocessing that belongs to their weights."""
