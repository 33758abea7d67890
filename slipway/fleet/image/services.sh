#!/bin/sh
# Opens Postgres and Redis to the fleet's network, and makes the role `app` with its database.
set -eu

version=$(ls /etc/postgresql)
conf=/etc/postgresql/$version/main
cat >"$conf/conf.d/fleet.conf" <<'CONF'
listen_addresses = '*'
max_connections = 200
CONF
echo 'host all all all scram-sha-256' >>"$conf/pg_hba.conf"
pg_ctlcluster "$version" main start
su postgres -c "psql -qc \"CREATE ROLE app LOGIN CREATEDB PASSWORD 'app'\" -c 'CREATE DATABASE app OWNER app'"
pg_ctlcluster "$version" main stop

sed -i -e 's/^bind .*/bind */' -e 's/^protected-mode .*/protected-mode no/' /etc/redis/redis.conf
