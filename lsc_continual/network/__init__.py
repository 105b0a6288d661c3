"""The network: what lies between an encoder's features and class probabilities, and its losses."""
