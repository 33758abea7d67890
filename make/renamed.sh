#!/bin/sh
# renamed.sh PROJECT: which of a team's files name a module that a release of the template has moved, a line for each
# file and name. Exit 1 where any does: it would end in a traceback. What is still here under such a name is the team's.
# make asks it before it runs those files, and at the end of an update.
set -u

# old new, the longer ones first
names='project.celery.check_broker slipway.celery.check_broker
project.ops slipway
project.tasks slipway.tasks
project.wsgi slipway.wsgi'

gone() { # the names of which there is no file
    printf '%s\n' "$names" | while read -r old new; do
        path=$(printf %s "$old" | tr . /)
        [ -e "$path.py" ] || [ -e "$path/__init__.py" ] || printf '%s %s ' "$old" "$new"
    done
}

# Python's relative imports are made whole first: "from ..ops import env" in project/shop/ is project.ops.env.
# shellcheck disable=SC2016 # awk's own $0
find manage.py compose.yaml deploy/*.toml deploy/provision_more.py docker/docker-run.d make/Procfile.dev "$1" \
    -type f \( -name '*.py' -o -name '*.toml' -o -name '*.yaml' -o -name 'Procfile.*' -o ! -name '*.*' \) \
    -exec env LC_ALL=C awk -v names="$(gone)" '
    BEGIN { count = split(names, name, " ") }
    {
        text = $0
        if (match(text, /^[ \t]*from \.+/)) {
            sub(/^[ \t]*from /, "", text)
            for (package = FILENAME; sub(/^\./, "", text); ) sub(/\/[^\/]*$/, "", package)
            gsub("/", ".", package)
            text = package "." text
        }
        sub(/\.? import /, ".", text)
        for (i = 1; i < count; i += 2) {
            old = name[i]; gsub(/\./, "[.]", old)
            if (match(text, "(^|[^A-Za-z0-9_.])" old "([^A-Za-z0-9_]|$)")) {
                fault = FILENAME ": " name[i] " is " name[i + 1] " now, lines"
                if (!(fault in lines)) order[++faults] = fault
                lines[fault] = lines[fault] " " FNR
                next
            }
        }
    }
    END { for (i = 1; i <= faults; i++) print "make: " order[i] lines[order[i]] }' {} + 2>/dev/null | { grep . >&2 && exit 1 || exit 0; }
