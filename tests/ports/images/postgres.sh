#!/bin/sh
# A cluster with the user, the database and the password of the environment; made once.
set -eu
data=/var/lib/postgresql/data
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

if [ ! -e "$data/PG_VERSION" ]; then
    install -d -o postgres -g postgres -m 700 "$data"
    printf %s "$POSTGRES_PASSWORD" >/tmp/password
    chmod 644 /tmp/password
    as_postgres initdb --pgdata="$data" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 >/dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
    printf 'CREATE DATABASE %s;\n' "$POSTGRES_DB" |
        as_postgres postgres --single -D "$data" postgres >/dev/null
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups postgres -D "$data" -c 'listen_addresses=*' \
    -c unix_socket_directories=/tmp
