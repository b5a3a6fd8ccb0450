"""The options of a server: a table of rows, and what is done with their values."""

from .row import OPTIONS as OPTIONS
from .row import Option as Option
from .table import DEFAULTS as DEFAULTS
from .table import Options as Options
from .table import merge as merge
