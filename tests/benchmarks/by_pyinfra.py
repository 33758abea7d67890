"""A pyinfra deploy that runs the commands of by_loop.sh on all hosts at once."""

import os

from pyinfra.operations import server

server.shell(name="release", commands=os.environ["COMMANDS"].split(" && "))
