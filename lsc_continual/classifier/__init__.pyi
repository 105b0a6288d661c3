from .folder import SavedModel as SavedModel
from .folder import load_detector as load_detector
from .folder import load_model as load_model
from .folder import model_files as model_files
from .prediction import Alternative as Alternative
from .prediction import Prediction as Prediction
from .spec import ModelSpec as ModelSpec
