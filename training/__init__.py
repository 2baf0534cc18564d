"""How the files in ``weights/`` are made and measured. ``anpr`` never imports this package."""
