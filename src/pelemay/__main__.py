"""``python -m pelemay``."""

import sys

from pelemay.cli import main

sys.exit(main())
