"""The machine that code runs on: devices, processes, random generators, signals."""
