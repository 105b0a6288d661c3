"""`python -m lsc_continual` is `lsc-cl`."""

from lsc_continual.cli.main import main

if __name__ == "__main__":
    main()
