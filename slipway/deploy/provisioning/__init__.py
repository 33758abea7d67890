"""Makes servers of bare machines, with pyinfra: provision.py runs it, recipe.py says what a server gets, in order."""
