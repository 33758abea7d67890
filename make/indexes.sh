#!/bin/sh
# indexes.sh check IN…: refuses an .in file that holds an index's password.
# indexes.sh keep IN PINS: puts the indexes that an .in file names at the head of its pins, as they are written. uv leaves
# them out; who installs the pins alone, as the wheelhouse does, needs them.
set -eu
named='^[[:space:]]*(--extra-index-url|--index-url|-i)[[:space:]=]'

# A URL may name a user only by ${NAME} or ${A}:${B}, or be git's own user of ssh.
check() {
    found=$(grep -nE '://[^/[:space:]]*@' /dev/null "$@" |
        grep -vE '://(git|\$\{[A-Za-z_0-9]+\}(:\$\{[A-Za-z_0-9]+\})?)@[^@[:space:]]*$' |
        sed 's/^\([^:]*\):\([0-9]*\):.*/\1 line \2/' || :)
    [ -z "$found" ] || { echo "make: $(echo "$found" | tr '\n' ' ')has an index's password: write \${NAME} for it," \
        "and set NAME in the environment" >&2; exit 1; }
}

keep() {
    { grep -E "$named" "$1" || :; cat "$2"; } >"$2.new"
    if cmp -s "$2" "$2.new"; then rm "$2.new"; else mv "$2.new" "$2"; fi
}

"$@"
