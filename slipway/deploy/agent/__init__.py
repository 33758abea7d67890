"""The agent: the program that the deployer sends to each host, where it needs only Python 3.9 or newer.

ssh/bootstrap.py sends this folder. The agent's arguments are MODE APP …; serve.py explains the modes."""
