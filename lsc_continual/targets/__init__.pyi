from .allocation import (
    AffineAllocation as AffineAllocation,
)
from .allocation import (
    AffinityAllocation as AffinityAllocation,
)
from .allocation import (
    Allocation as Allocation,
)
from .allocation import (
    RandomAllocation as RandomAllocation,
)
from .allocation import (
    SpreadAllocation as SpreadAllocation,
)
from .allocation import (
    make_allocation as make_allocation,
)
from .labels import AnyLabels as AnyLabels
from .labels import Labels as Labels
from .nearest import Nearest as Nearest
from .targets import Targets as Targets
