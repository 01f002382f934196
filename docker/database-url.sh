# Sourced by backup.sh and restore.sh: $url is TRIAGE_DATABASE_URL as Postgres's own programs read it. A password in it
# goes by the environment: what stands in a command line every account of the machine can read.
url=${TRIAGE_DATABASE_URL:?set TRIAGE_DATABASE_URL}
url=${url/+psycopg/}
if [[ $url =~ ^([a-z]+://[^:/?@]+):([^@]*)@(.*)$ ]]; then
  PGPASSWORD=$(printf '%b' "$(sed -E 's/\\/&&/g; s/%([0-9A-Fa-f]{2})/\\x\1/g' <<< "${BASH_REMATCH[2]}")")
  export PGPASSWORD
  url=${BASH_REMATCH[1]}@${BASH_REMATCH[3]}
fi
