"""Compiled twins of what plain torch does slowly: loops over the rows of a batch.

Everything here gives the answers of its plain-torch twin, and is used where it can be had. Pure
arithmetic on tensors; imports nothing of the rest of the package.
"""
