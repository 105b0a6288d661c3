"""Avalanche's own strategies under the conditions of `LSC`: the peers to compare it with.

`builders` has one function for each; what all of them share is `setup` (the conditions), `network`
(a linear head of fixed width), `batches` (as many images a step as `LSC`) and `unseen` (no label
that was never trained on is ever predicted).
"""
