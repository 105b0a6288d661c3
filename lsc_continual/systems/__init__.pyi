from .base import Decoded as Decoded
from .base import Ranked as Ranked
from .base import VectorSystem as VectorSystem
from .hypercube import Hypercube as Hypercube
from .making import make_system as make_system
from .making import min_dim as min_dim
from .orbit import Orbit as Orbit
from .permutation import PermutationSystem as PermutationSystem
from .permutation import Permutohedron as Permutohedron
from .simplex import Simplex as Simplex
from .union import (
    DyadicScattering as DyadicScattering,
)
from .union import (
    InterpolatedRoots as InterpolatedRoots,
)
from .union import (
    OrbitUnion as OrbitUnion,
)
