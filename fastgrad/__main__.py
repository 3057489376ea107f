"""Run the command line with ``python -m fastgrad``."""

import sys

from fastgrad.cli import main

if __name__ == "__main__":
    sys.exit(main())
