"""The HTTP service: ``anpr.server.app.create_app`` makes it, ``anpr.server.run.serve`` runs it."""
