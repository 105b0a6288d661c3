from .making import make_encoder as make_encoder
