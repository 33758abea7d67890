"""A pyinfra deploy that runs the same commands as the loop of deploy_tools.py on all hosts at once."""

import os

from pyinfra.operations import server

server.shell(name="release", commands=os.environ["COMMANDS"].split(" && "))
