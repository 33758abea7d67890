"""What is pure: from the fleet's configuration and facts of hosts to plans, files and problems. Only files are read.

It imports nothing of reach, act, show or commands.
"""
