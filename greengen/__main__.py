"""`python -m greengen`: the command line, where the script is not on the path."""

from greengen.cli import main

main()
