"""The compiled core through its Python face."""
