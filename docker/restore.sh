#!/usr/bin/env bash
# restore.sh FILE: puts a backup into an empty database. Stop gateways, workers and sweeps first.
# Reads TRIAGE_DATABASE_URL. The queue needs no backup: the sweep announces what waits.
set -euo pipefail
file=${1:?usage: restore.sh FILE}
. "$(dirname "$0")/database-url.sh"
tables=$(psql --no-psqlrc --tuples-only --no-align --command \
  "select count(*) from pg_tables where schemaname = 'public'" "$url")
if [ "$tables" != 0 ]; then
  echo "restore: the database has $tables tables already: create an empty one" >&2
  exit 1
fi
# The role of the dashboards belongs to the server and is in no database's backup.
role=$(psql --no-psqlrc --tuples-only --no-align --command \
  "select count(*) from pg_roles where rolname = 'triage_ops'" "$url")
if [ "$role" = 0 ] && ! psql --no-psqlrc --quiet --command "create role triage_ops nologin" "$url"; then
  echo "restore: have the server's administrator do: create role triage_ops nologin" >&2
  exit 1
fi
pg_restore --no-owner --exit-on-error --single-transaction --dbname="$url" "$file"
echo "restore: $(psql --no-psqlrc --tuples-only --no-align --command 'select count(*) from tickets' "$url") tickets"
