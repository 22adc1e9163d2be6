#!/usr/bin/env bash
# Makes a fresh Debian 13 (or later, or an Ubuntu of that age) the machine of the experiment: PostgreSQL, weir in front of
# it and the bookstore behind it, as systemd services.
#
#     provision.sh [SOURCE]        SOURCE is weir's source; default: the folder above this script
#
# Run it as root, as often as you like: what is there stays, passwords and configurations too; programs are built anew,
# and services whose files changed are restarted. Where systemd does not run (an image being built) it does all but
# start things and fill the database; the next run, once it does, completes that.
#
# GO names another go command than the packages'. Debian's is old enough to fetch, once, the Go that go.mod asks for.
set -euo pipefail

source=$(cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}" && pwd)
files=$source/deploy

say() { echo "==> $*"; }

if [ "$(id -u)" != 0 ]; then
	echo "provision.sh: run as root" >&2
	exit 1
fi
if [ ! -f "$files/vm/weir.toml" ]; then
	echo "provision.sh: no source of weir in $source" >&2
	exit 1
fi

booted() { [ -d /run/systemd/system ]; }

# install_packages PACKAGE...: asks the network only if one is missing.
install_packages() {
	local missing=() p
	for p in "$@"; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
	done
	[ ${#missing[@]} = 0 ] && return
	say "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q
	apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# changed is what is to be restarted.
declare -A changed=()

# put SERVICE MODE OWNER FILE TARGET: installs a file and notes whether that changed anything.
put() {
	local service=$1 mode=$2 owner=$3 file=$4 target=$5
	cmp -s "$file" "$target" && return
	install -D -m "$mode" -o "${owner%:*}" -g "${owner#*:}" "$file" "$target"
	changed[$service]=1
}

# keep MODE OWNER TARGET: installs standard input unless there is such a file, which is then its owner's.
keep() {
	local mode=$1 owner=$2 target=$3
	if [ -s "$target" ]; then
		cat >/dev/null
		return
	fi
	install -D -m "$mode" -o "${owner%:*}" -g "${owner#*:}" /dev/stdin "$target"
}

password() { head -c 24 /dev/urandom | base64 | tr '+/' 'ab'; }

build() {
	local go=${GO:-go} out
	say "building weir and the bookstore ($("$go" version))"
	out=$(mktemp -d)
	# One package at a time: a compiler for each would need more memory than this machine has to spare. Git refuses to
	# read a checkout of another user, so the programs cannot be stamped with their commit.
	(cd "$source" &&
		GOTOOLCHAIN=${GOTOOLCHAIN:-auto} CGO_ENABLED=0 GOFLAGS='-buildvcs=false -trimpath -p=1' \
			GOCACHE=/var/cache/weir/go-build GOMODCACHE=/var/cache/weir/go-mod \
			"$go" build -o "$out/" ./cmd/weir ./cmd/bookstore)
	put weir 755 root:root "$out/weir" /usr/local/bin/weir
	put bookstore 755 root:root "$out/bookstore" /usr/local/bin/bookstore
	rm -rf "$out"
}

configure() {
	say "installing configurations and services"
	install -D -m 644 "$files/systemd/sysusers.conf" /etc/sysusers.d/weir.conf
	systemd-sysusers /etc/sysusers.d/weir.conf
	install -d -m 750 -o root -g weir /etc/weir
	install -d -m 750 -o root -g bookstore /etc/bookstore

	password | keep 640 root:weir /etc/weir/bookstore.password
	keep 640 root:weir /etc/weir/weir.toml <"$files/vm/weir.toml"
	{
		cat "$files/vm/bookstore.env"
		echo "BOOKSTORE_DSN=postgres://bookstore:$(cat /etc/weir/bookstore.password)@127.0.0.1:6432/bookstore?sslmode=disable"
		echo "BOOKSTORE_SECRET=$(password)$(password)"
		echo "BOOKSTORE_ADMIN_PASSWORD=$(password)"
	} | keep 640 root:bookstore /etc/bookstore/bookstore.env

	put weir 644 root:root "$files/systemd/weir.service" /etc/systemd/system/weir.service
	put bookstore 644 root:root "$files/systemd/bookstore.service" /etc/systemd/system/bookstore.service
	/usr/local/bin/weir check -c /etc/weir/weir.toml >/dev/null
	systemctl enable -q weir bookstore

	local folder
	for folder in /etc/postgresql/*/main; do
		put postgresql 644 root:root "$files/vm/postgresql.conf" "$folder/conf.d/weir.conf"
	done
}

# start SERVICE: starts it, or anew if something of it changed.
start() {
	if [ -n "${changed[$1]:-}" ]; then
		systemctl restart "$1"
	else
		systemctl start "$1"
	fi
}

# patiently COMMAND...: until it succeeds, for a minute.
patiently() {
	local i
	for i in $(seq 60); do
		"$@" >/dev/null 2>&1 && return
		sleep 1
	done
	"$@"
}

# The application's role is no superuser: PostgreSQL keeps places for superusers, so that somebody can look into a server
# that is full.
fill() {
	say "making the shop's role and database"
	patiently runuser -u postgres -- psql -qc 'SELECT 1'
	runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 postgres <<-SQL
		\set password '$(cat /etc/weir/bookstore.password)'
		SELECT 'CREATE ROLE bookstore' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bookstore') \gexec
		ALTER ROLE bookstore LOGIN NOSUPERUSER PASSWORD :'password';
		SELECT 'CREATE DATABASE bookstore OWNER bookstore' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'bookstore') \gexec
	SQL
}

packages=(ca-certificates postgresql)
[ -n "${GO:-}" ] || packages+=(golang-go)
install_packages "${packages[@]}"
build
configure
if ! booted; then
	say "systemd does not run here: services are enabled, not started, and the database is not filled"
	exit 0
fi
systemctl daemon-reload
start postgresql
fill
start weir
patiently weir health -c /etc/weir/weir.toml --ready
start bookstore
patiently bookstore health --ready
say "ready"
cat <<-'TEXT'
	    http://localhost:8000/             the bookstore
	    http://localhost:9127/metrics      weir's metrics
	    localhost:6432                     weir, for psql and other clients; passwords are in /etc/weir and /etc/bookstore
	    bookstore compare --quick          the experiment, on a private PostgreSQL (without --quick: the full ladder)
TEXT
