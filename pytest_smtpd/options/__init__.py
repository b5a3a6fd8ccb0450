"""The options of a server: the table of options, and the merging of values."""

from .row import OPTIONS as OPTIONS
from .row import Option as Option
from .table import DEFAULTS as DEFAULTS
from .table import Options as Options
from .table import merge as merge
