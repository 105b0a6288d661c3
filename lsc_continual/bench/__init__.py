"""Measurements of `lsc-cl bench`: each against what people use today, in one run on one machine."""
