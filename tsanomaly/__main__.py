# SPDX-License-Identifier: MIT
import sys

from tsanomaly._cli import main

if __name__ == "__main__":
    sys.exit(main())
