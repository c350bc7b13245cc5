"""`python -m pyctl`."""

from pyctl.cli import main

if __name__ == "__main__":
    main()
