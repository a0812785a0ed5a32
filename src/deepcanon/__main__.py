"""`python -m deepcanon` is the same as `deepcanon`."""

from __future__ import annotations

import sys

from deepcanon.cli import main

if __name__ == "__main__":
    sys.exit(main())
