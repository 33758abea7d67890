"""Whether enough of a fleet is up: the rules, and who asks and tells."""
