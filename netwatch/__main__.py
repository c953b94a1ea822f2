"""`python -m netwatch`, and the command `netwatch`: what captures live begins where nothing planted is loaded yet."""

import sys

if sys.argv[1:2] == ["watch"] or (sys.argv[1:2] == ["check"] and "-i" in sys.argv):  # run with privileges
    from netwatch.runtime.isolation import isolate

    isolate()

from netwatch.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
