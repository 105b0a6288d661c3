from .classes import arriving_classes as arriving_classes
from .classes import classes_in_training as classes_in_training
from .feeds import Feeds as Feeds
from .feeds import Loading as Loading
from .loader import BatchLoader as BatchLoader
