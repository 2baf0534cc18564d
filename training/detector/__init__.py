"""The training of the plate detector, see ``training/README.md``."""
