"""`python -m netwatch` is the command `netwatch`."""

import sys

from netwatch.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
