from .class_incremental import class_incremental as class_incremental
from .class_incremental import class_order as class_order
from .class_incremental import experience_sizes as experience_sizes
from .class_incremental import load_images as load_images
from .class_incremental import make_benchmark as make_benchmark
