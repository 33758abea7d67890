"""Sets up servers with pyinfra. recipe.py lists what they get."""
