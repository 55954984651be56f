"""`python -m absynth`: the same as the command `absynth`."""

import sys

from absynth.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
