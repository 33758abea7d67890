"""The commands of by_loop.sh as a deploy of pyinfra's, which does them on all hosts at once."""

import os

from pyinfra.operations import server

server.shell(name="release", commands=os.environ["COMMANDS"].split(" && "))
