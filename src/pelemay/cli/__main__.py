"""``python -m pelemay.cli``."""

import sys

from pelemay.cli import main

sys.exit(main())
