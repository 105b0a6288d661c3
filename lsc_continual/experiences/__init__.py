"""Avalanche's experiences and data sets: their classes, the images behind them, their batches."""
