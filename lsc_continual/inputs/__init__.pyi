from .base import ImageData as ImageData
from .base import Images as Images
from .files import ImageFiles as ImageFiles
from .source import Source as Source
from .stored import StoredImages as StoredImages
