"""Run the command line as `python -m anchorline`."""

from anchorline.cli import main

main(prog_name="anchorline")
