from .model import Classifier as Classifier
