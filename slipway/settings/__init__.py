"""The settings of production."""
