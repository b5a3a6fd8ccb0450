"""The limits of reading mail: every bound of `mime`, `lint` and `message` stands here.

A hostile mail is read up to these and no further, and its `defects` say so. docs/security.md
lists them. Imports nothing.
"""

# ---- structure
PARTS = 10_000  # of a message
DEPTH = 50  # parts within parts; copying a message takes six frames a level
# Octets searched for boundaries: the message as often as real structures nest around a large part,
# plus a constant that small messages never reach.
SCANS = 3
SCANNED_ANYWAY = 16_777_216
FALSE_BOUNDARIES = 100_000  # lines that begin like a boundary and are none

# ---- headers
FIELDS = 10_000  # of one part
ALL_FIELDS = 100_000  # of all parts
FIELD = 65_536  # octets of a field that is read; a longer one is given as its raw text
# Octets of all fields that are read: lists of odd addresses take a second for 500,000.
FIELD_OCTETS = 98_304
SEARCHED_OCTETS = 524_288  # of all fields, searched for control characters and empty folds
PARAMETERS = 1_000  # of one field
ADDRESS_OCTETS = 180_224  # of address lists; these are read even if `FIELD` is exceeded

# ---- bodies
STRETCHES = 10_000  # of base64, each ended by padding
REPLACEMENTS = 100_000  # of undecodable octets; some codecs need a microsecond for each
ESCAPES = 500_000  # of ISO-2022-JP in one text
TEXT = 2_097_152  # characters of a text that are searched for links and codes
PAGE = 4 * TEXT  # characters of HTML, markup included
STEPS = 200_000  # tags, attributes of links and pieces of text in HTML: 60 newsletters
ENTITIES = 100_000
LINK_TEXT = 500  # characters
TEXT_URLS = 50_000  # of one text, repetitions counted
LINKS = 10_000  # of a message

# ---- checks
WORDS = 2_000  # encoded words, or references, of one field
PAGE_URLS = 5_000  # of one HTML body
