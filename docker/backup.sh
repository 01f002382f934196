#!/usr/bin/env bash
# backup.sh FILE: everything there is, as one file. Services may run on; the copy is of one moment.
# Reads TRIAGE_DATABASE_URL. Needs pg_dump and pg_restore of Postgres's version or newer.
set -euo pipefail
file=${1:?usage: backup.sh FILE}
. "$(dirname "$0")/database-url.sh"
umask 077  # tickets are private
pg_dump --format=custom --no-owner --file="$file.part" "$url"
pg_restore --list "$file.part" > /dev/null  # it can be read
mv "$file.part" "$file"
echo "backup: $file, $(stat -c %s "$file") bytes"
