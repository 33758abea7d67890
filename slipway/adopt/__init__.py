"""Add Slipway to an existing Django project."""
