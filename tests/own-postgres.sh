# Sourced by what needs a PostgreSQL server of its own. begin_postgres makes one with the defaults of its version, installing
# Debian's package where it may, and says where it is in postgres_url; end_postgres stops it and takes it away.
# begin_database NAME makes a database of a role of that name, which the walls between tenants bind, and says where in database_url.
# shellcheck shell=bash
postgres_folder=""

# As a user that is not root, which PostgreSQL refuses to run as.
as_postgres() { if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

find_postgres() {
  if command -v initdb >/dev/null; then dirname "$(readlink -f "$(command -v initdb)")"; else ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; fi
}

end_postgres() {
  [ -n "$postgres_folder" ] || return 0
  as_postgres "$postgres_bin/pg_ctl" --pgdata="$postgres_folder/data" --mode=immediate stop >/dev/null 2>&1 || true
  rm -rf "$postgres_folder"
  postgres_folder=""
}

# Fails where there is no server to be had.
begin_postgres() {
  postgres_bin=$(find_postgres || true)
  if [ -z "$postgres_bin" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends postgresql; } >/dev/null || true
    postgres_bin=$(find_postgres || true)
  fi
  [ -n "$postgres_bin" ] || return 1
  # A disk, where there is one: a commit to a file system in memory costs nothing.
  postgres_folder=$(mktemp -d -p /var/tmp)
  local port=$((20000 + RANDOM % 20000))
  if [ "$(id -u)" -eq 0 ]; then chown postgres "$postgres_folder"; fi
  as_postgres "$postgres_bin/initdb" --pgdata="$postgres_folder/data" --username=postgres --auth=trust --encoding=UTF8 >/dev/null \
    && as_postgres "$postgres_bin/pg_ctl" --pgdata="$postgres_folder/data" --log="$postgres_folder/log" --wait \
      --options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=" start >/dev/null \
    || { end_postgres; return 1; }
  # shellcheck disable=SC2034 # for whoever has sourced this
  postgres_url="postgres://postgres@127.0.0.1:$port/postgres"
}

begin_database() {
  "$postgres_bin/psql" --quiet --no-psqlrc --set ON_ERROR_STOP=1 --command "CREATE ROLE $1 LOGIN" --command "CREATE DATABASE $1 OWNER $1" "$postgres_url"
  # shellcheck disable=SC2034 # for whoever has sourced this
  database_url=$(printf '%s' "$postgres_url" | sed "s|postgres@|$1@|; s|/postgres$|/$1|")
}
