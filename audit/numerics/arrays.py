"""Names for the kinds of array that formulas accept; what they return is always exact."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""Any floating dtype."""

Integers = NDArray[np.integer[Any]]
"""Any integer dtype."""
