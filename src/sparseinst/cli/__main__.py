"""`python -m sparseinst.cli`, for launchers that start modules (torchrun, accelerate)."""

from sparseinst.cli.app import main

if __name__ == "__main__":
    main()
