#!/bin/sh
# Installs waypost-agent on the host of a mail server, from the Waypost server
# that this script came from.
#
#   curl -fsSL {{.URL}}/agent/install.sh | sudo sh -s -- --api-key KEY
#
# It takes the package for this machine from that server, checks it against the
# checksum below, writes /etc/waypost-agent/config.yaml, and starts the service.
# Run again, it upgrades and keeps what is configured.
set -eu

server={{quote .URL}}
config=/etc/waypost-agent/config.yaml
user=waypost-agent

usage() {
	cat <<'END'
Options:
  --api-key KEY        the provider's event key; WAYPOST_AGENT_API_KEY does the same
                       without showing the key in the process list, and without
                       either the script asks
  --api-key-file FILE  let the agent read the key from this file
  --endpoint URL       where the agent reports to; default: the server of this script
  --mta NAME           the mail server's name; default: postfix
  --log-path FILE      the mail server's log; default: found on this machine
  --binary             install the bare binary even where dpkg or rpm are
  --no-start           do not start the service
  --uninstall          stop and remove the agent, keep its settings and state
  --purge              with --uninstall: remove these as well
END
}

say() { printf '%s\n' "waypost-agent: $*"; }
die() {
	printf '%s\n' "waypost-agent: $*" >&2
	exit 1
}

# sums prints the checksums of the files that the server has, as KIND/ARCH SHA256.
sums() {
	cat <<'END'
{{- range .Sums}}
{{.}}{{end}}
END
}

has() { command -v "$1" >/dev/null 2>&1; }

systemd() { [ -d /run/systemd/system ]; }

architecture() {
	case $(uname -m) in
	x86_64 | amd64) echo amd64 ;;
	aarch64 | arm64) echo arm64 ;;
	*) die "there is no agent for the architecture $(uname -m)" ;;
	esac
}

fetch() { # fetch URL FILE
	if has curl; then
		curl -fsSL --retry 2 -o "$2" "$1"
	elif has wget; then
		wget -q -O "$2" "$1"
	else
		die "curl or wget is needed"
	fi
}

# download KIND puts the file into $work/agent.KIND and checks it.
download() {
	arch=$(architecture)
	sum=$(sums | sed -n "s|^$1/$arch ||p")
	[ -n "$sum" ] || return 1
	fetch "$server/agent/download/$1/$arch" "$work/agent.$1" || die "could not fetch $server/agent/download/$1/$arch"
	got=$(sha256sum "$work/agent.$1" | cut -d ' ' -f 1)
	[ "$got" = "$sum" ] || die "$server/agent/download/$1/$arch has the checksum $got instead of $sum: nothing was installed. If the server's package was just replaced, run this again."
}

absent() {
	cat >&2 <<END
waypost-agent: the server $server has no agent for this machine ($1, $(architecture)).
Its operator builds them with "make packages" in the source of Waypost and
copies dist/agent/* into the directory agent/ of the server's data (or the one
named by --agent-packages). No restart is needed; then run this again.
END
	exit 1
}

install_deb() {
	download deb || absent deb
	drop_unit
	DEBIAN_FRONTEND=noninteractive dpkg -i --force-confdef --force-confold "$work/agent.deb" || die "dpkg could not install the package"
}

install_rpm() {
	download rpm || absent rpm
	drop_unit
	rpm -U --replacepkgs --oldpackage "$work/agent.rpm" || die "rpm could not install the package"
}

# install_binary does what the packages do.
install_binary() {
	download binary || absent binary
	files
	install -m 0755 "$work/agent.binary" /usr/bin/waypost-agent.new
	mv -f /usr/bin/waypost-agent.new /usr/bin/waypost-agent
	if systemd || [ -d /etc/systemd/system ]; then
		mkdir -p /etc/systemd/system
		install -m 0644 "$work/unit" /etc/systemd/system/waypost-agent.service
	fi
	mkdir -p /etc/waypost-agent
	[ -e $config ] || install -m 0640 "$work/config.yaml" $config
	sh "$work/postinst" configure
}

# drop_unit removes the unit that an earlier --binary left, unless it was
# changed: it would hide that of the package.
drop_unit() {
	files
	if cmp -s "$work/unit" /etc/systemd/system/waypost-agent.service; then
		rm -f /etc/systemd/system/waypost-agent.service
	fi
}

# files writes what the packages hold besides the binary.
files() {
	cat >"$work/unit" <<'END-OF-FILE'
{{.Unit}}END-OF-FILE
	cat >"$work/config.yaml" <<'END-OF-FILE'
{{.Config}}END-OF-FILE
	cat >"$work/postinst" <<'END-OF-FILE'
{{.Postinst}}END-OF-FILE
	cat >"$work/prerm" <<'END-OF-FILE'
{{.Prerm}}END-OF-FILE
	cat >"$work/postrm" <<'END-OF-FILE'
{{.Postrm}}END-OF-FILE
}

installed_deb() { has dpkg-query && dpkg-query -W -f '${db:Status-Abbrev}' $user 2>/dev/null | grep -q '^[ihrp][^n]'; }
installed_rpm() { has rpm && rpm -q $user >/dev/null 2>&1; }

uninstall() {
	if installed_deb; then
		if $purge; then dpkg -P $user; else dpkg -r $user; fi
	else
		files
		if installed_rpm; then
			rpm -e $user
		else
			sh "$work/prerm" remove
			rm -f /usr/bin/waypost-agent /etc/systemd/system/waypost-agent.service
			sh "$work/postrm" remove
		fi
		if $purge; then sh "$work/postrm" purge; fi
	fi
	if $purge; then say "removed with its settings and state"; else say "removed; settings and state stay in /etc/$user and /var/lib/$user"; fi
}

# set_key writes one key of the configuration: in place of the line that sets
# it, or else of the commented one. The value travels in the environment, as
# arguments of programs show in the process list.
set_key() { # set_key NAME VALUE
	case $2 in *"
"*) die "$1 holds a line break" ;; esac
	(
		umask 077
		VALUE=$2 awk -v name="$1" '
			{ line[NR] = $0 }
			index($0, name ":") == 1 { at = NR }
			index($0, "#" name ":") == 1 { commented = NR }
			END {
				quote = sprintf("%c", 39)
				value = ENVIRON["VALUE"]
				gsub(quote, quote quote, value)
				if (!at) at = commented
				if (!at) at = NR + 1
				line[at] = name ": " quote value quote
				for (i = 1; i <= NR || i <= at; i++) print line[i]
			}' $config >$config.new
	)
	chown root:$user $config.new
	chmod 0640 $config.new
	mv -f $config.new $config
}

# unset_key comments a key out.
unset_key() {
	(
		umask 077
		sed "s/^$1:.*/#$1: \"\"/" $config >$config.new
	)
	chown root:$user $config.new
	chmod 0640 $config.new
	mv -f $config.new $config
}

has_key() { grep -Eq "^$1:[[:space:]]*[^[:space:]#]" $config 2>/dev/null; }

ask_key() {
	[ -r /dev/tty ] && { : >/dev/tty; } 2>/dev/null || return 0
	printf 'The event key of the provider: ' >/dev/tty
	stty -echo </dev/tty 2>/dev/null || true
	IFS= read -r key </dev/tty || true
	stty echo </dev/tty 2>/dev/null || true
	printf '\n' >/dev/tty
}

# find_log prints where the mail server logs, as far as it can be told.
find_log() {
	log=
	if has postconf; then log=$(postconf -h maillog_file 2>/dev/null || true); fi
	for file in $log /var/log/mail.log /var/log/maillog; do
		if [ -f "$file" ]; then
			echo "$file"
			return
		fi
	done
}

configure() {
	if [ -z "$key$key_file" ] && ! has_key api-key && ! has_key api-key-file; then
		ask_key
	fi
	if [ -n "$key" ]; then
		unset_key api-key-file
		set_key api-key "$key"
	elif [ -n "$key_file" ]; then
		unset_key api-key
		set_key api-key-file "$key_file"
	fi
	if [ -n "$endpoint" ]; then
		set_key endpoint "$endpoint"
	elif ! has_key endpoint; then
		set_key endpoint "$server"
	fi
	[ -z "$mta" ] || set_key mta "$mta"
	if [ -z "$log_path" ] && ! has_key log-path; then log_path=$(find_log); fi
	[ -z "$log_path" ] || set_key log-path "$log_path"
}

# run_as runs a program as the agent's user.
run_as() {
	if has runuser; then
		runuser -u $user -- "$@"
	elif has setpriv; then
		setpriv --reuid $user --regid $user --init-groups "$@"
	else
		return 127
	fi
}

start() {
	if ! has_key api-key && ! has_key api-key-file; then
		say "no key was given: set api-key in $config, then: systemctl enable --now waypost-agent"
		return
	fi
	if ! $run; then
		say "installed, not started; start it with: systemctl enable --now waypost-agent"
		return
	fi
	if ! systemd; then
		say "installed; systemd does not run here, so start this as the user $user: waypost-agent run --config $config"
		return
	fi
	systemctl enable --quiet waypost-agent.service
	systemctl restart waypost-agent.service
	say "started; its log: journalctl -u waypost-agent"
}

main() {
	key=${WAYPOST_AGENT_API_KEY:-}
	unset WAYPOST_AGENT_API_KEY # not for the programs that are called from here
	key_file='' endpoint='' mta='' log_path='' kind='' run=true remove=false purge=false
	while [ $# -gt 0 ]; do
		case $1 in
		--api-key=* | --api-key-file=* | --endpoint=* | --mta=* | --log-path=*)
			option=${1%%=*}
			value=${1#*=}
			shift
			set -- "$option" "$value" "$@"
			continue
			;;
		--api-key | --api-key-file | --endpoint | --mta | --log-path)
			[ $# -gt 1 ] || die "$1 wants a value"
			case $1 in
			--api-key) key=$2 ;;
			--api-key-file) key_file=$2 ;;
			--endpoint) endpoint=$2 ;;
			--mta) mta=$2 ;;
			--log-path) log_path=$2 ;;
			esac
			shift
			;;
		--binary) kind=binary ;;
		--no-start) run=false ;;
		--uninstall) remove=true ;;
		--purge) purge=true ;;
		--help | -h)
			usage
			exit 0
			;;
		*)
			usage >&2
			die "unknown option ${1%%=*}"
			;;
		esac
		shift
	done

	[ "$(id -u)" -eq 0 ] || die "run this as root: it installs a package and starts a service"
	[ "$(uname -s)" = Linux ] || die "the agent runs on Linux"
	has sha256sum || die "sha256sum is needed"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM

	if $remove; then
		uninstall
		return
	fi
	if [ -z "$kind" ]; then
		if has dpkg && has dpkg-query; then kind=deb; elif has rpm; then kind=rpm; else kind=binary; fi
	fi
	"install_$kind"
	configure
	start
	# The same examination that an operator runs later; its verdict does not
	# undo the installation.
	run_as /usr/bin/waypost-agent doctor || say "doctor found something to look at; run it again as root with: waypost-agent doctor"
}

main "$@"
