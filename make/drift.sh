#!/bin/sh
# drift.sh MANAGE…: whether models and migrations agree, as MANAGE (`python manage.py`) says. Of the apps in
# DRIFT_ALLOWED they may disagree: somebody else has to write that migration. make test and the image's build ask it.
set -u

if said=$("$@" makemigrations --check --dry-run --no-input --no-color 2>&1); then
    printf '%s\n' "$said" | sed '/^No changes detected$/d'
    exit
fi
wrong=
apps=$(printf '%s\n' "$said" | sed -n "s/^Migrations for '\(.*\)':$/\1/p" | tr '\n' ' ')
for app in $apps; do
    case " ${DRIFT_ALLOWED-} " in *" $app "*) ;; *) wrong="$wrong $app" ;; esac
done
if [ -n "$apps" ] && [ -z "$wrong" ]; then
    echo "make: models and migrations do not agree in ${apps% }: DRIFT_ALLOWED lets that pass"
    exit
fi
printf '%s\n' "$said"
[ -n "$apps" ] || { echo 'make: makemigrations failed, see above' >&2; exit 1; }
echo "make: models and migrations do not agree, see above: make migrations writes a missing one" \
    "(of somebody else's app: name it in DRIFT_ALLOWED)" >&2
exit 1
