"""`python -m outpulse`: how the supervisor starts its parts."""

from outpulse.cli import main

main()
