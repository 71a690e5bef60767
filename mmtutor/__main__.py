"""`python -m mmtutor`: the command line, and what `torchrun -m mmtutor` starts in each process."""

import sys

from mmtutor.cli import main

sys.exit(main())
