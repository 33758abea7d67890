#!/bin/sh
# wheelhouse.sh REQUIREMENTS REQUIREMENTS_DEV >wheels.tar: make wheels of all pinned packages. `make wheelhouse` sends
# this file to a container of the builder.
#
# The tar contains production's wheels, a folder dev/ with the wheels that only tests and linters need, and a pip.whl to
# install them. pip checks the hashes of what it downloads.
set -eu
pip=$(echo /usr/share/python-wheels/pip-*.whl)
house=$(mktemp -d)

wheels() { # without this file as stdin, of which a package's build could read
    python "$pip/pip" wheel --quiet --disable-pip-version-check --wheel-dir "$1" -r "$2" </dev/null >&2
}

wheels "$house" "$1"
wheels "$house/dev" "$2"
cp "$pip" "$house/pip.whl"
cd "$house"
for wheel in *.whl; do rm -f "dev/$wheel"; done
tar -cf - -- *
