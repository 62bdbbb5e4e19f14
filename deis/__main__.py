"""``python -m deis``: the command line."""

from deis.cli import main

if __name__ == "__main__":
    main()
