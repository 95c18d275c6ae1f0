"""`python -m headway.cli`, where the script is not on the path."""

from headway.cli.app import main

main()
