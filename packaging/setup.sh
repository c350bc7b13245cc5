#!/bin/bash
# Install everything that building and testing need: Debian packages, a Python environment in
# build/venv, this project in it, checkpatch, Prometheus and its Alertmanager, and snmpd. Quick when there is nothing to do.
#
# packaging/setup.sh [debug]: with "debug" also what building the debug kernel needs.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly log=build/log/setup.log
readonly venv=build/venv
readonly checkpatch=build/checkpatch
readonly prometheus=build/prometheus
readonly snmp=build/snmp
readonly source_tarball=/usr/src/linux-source-6.12.tar.xz

readonly packages=(
	# building and testing the module
	build-essential linux-image-amd64 linux-headers-amd64
	linux-image-6.12-amd64 linux-headers-6.12-amd64
	qemu-system-x86 busybox-static cpio kmod xz-utils zstd
	# what tests run in the guests
	dmsetup e2fsprogs fio gddrescue initramfs-tools-core liburing-dev mount patch procps udev util-linux
	# pyctl
	python3-venv python3-dev python3-bpfcc libdevmapper-dev
	# the daemon's unit is checked
	systemd
	# snmpwalk and others, and what snmpd and snmptrapd need
	snmp smitools libnetsnmptrapd40
	# lint and fuzzing
	clang libclang-rt-dev llvm sparse linux-source-6.12
	# the layout of structures
	dwarves
	# the daemon's web page is tested in a browser
	chromium-headless-shell fonts-dejavu-core
)
readonly programs=(gcc make patch sysctl mkfs.ext4 qemu-system-x86_64 busybox modprobe zstd dmsetup fio ddrescue clang
	udevadm llvm-symbolizer sparse pahole systemd-analyze smilint snmpwalk
	chromium-headless-shell)
# what a kernel is compiled with
readonly debug_packages=(bc bison flex libelf-dev libssl-dev)

export PATH=$PATH:/usr/sbin:/sbin
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf 'setup: %s\n' "$*"; }

die() {
	printf 'setup: error: %s\n' "$*" >&2
	exit 1
}

# step MESSAGE COMMAND...: run it with its output in the log, and show the end of that if it fails.
step() {
	say "$1"
	shift
	printf '\n+ %s\n' "$*" >>"$log"
	# Without our lock: a service that a package starts would hold it for ever.
	"$@" >>"$log" 2>&1 9>&- || {
		local status=$?
		tail -n 25 "$log" >&2
		die "this failed with status $status: $* (everything it wrote: $log)"
	}
}

# fingerprint FILE...: one hash over files, which changes when any of them does.
fingerprint() { sha256sum "$@" | sha256sum | cut -c 1-16; }

stamped() { [ "$(cat "build/.stamp-$1" 2>/dev/null)" = "$2" ]; }
stamp() { echo "$2" >"build/.stamp-$1"; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]; }

system_complete() {
	local program series
	for program in "${programs[@]}"; do
		command -v "$program" >/dev/null || return
	done
	for series in 6.1 6.12; do
		compgen -G "/lib/modules/$series.*/build/Makefile" >/dev/null || return
		compgen -G "/boot/vmlinuz-$series.*" >/dev/null || return
	done
}

# install_packages PACKAGE...: those of them that are missing.
install_packages() {
	local package missing=() root=(env DEBIAN_FRONTEND=noninteractive)
	command -v apt-get >/dev/null || die "this needs Debian 12: there is no apt-get here"
	for package in "$@"; do
		installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null ||
			die "packages are missing, and this is neither root nor is there sudo; as root, run:
  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
		root=(sudo "${root[@]}")
	fi
	step "updating the package lists" "${root[@]}" apt-get update
	for package in "${missing[@]}"; do
		apt-cache show "$package" >/dev/null 2>&1 ||
			die "apt has no package $package. Kernel 6.12 for Debian 12 is in the component \"main\"
of the suite \"bookworm-security\": enable it in your apt sources, then run this again."
	done
	step "installing ${missing[*]}" \
		"${root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"
}

# Debian's own interpreter with its own packages, because bcc is a Debian package only.
make_venv() {
	rm -rf "$venv"
	step "making $venv" /usr/bin/python3 -m venv --system-site-packages "$venv"
	step "installing the Python packages" \
		"$venv/bin/python" -m pip install -r packaging/requirements.lock
}

install_project() {
	# setuptools takes no notice of changed headers.
	find pyctl -name '*.so' -delete
	step "installing pyctl into $venv" \
		"$venv/bin/python" -m pip install --no-build-isolation --no-deps -e .
}

# What the installed project was compiled from. The rest of it is read from the tree.
project_fingerprint() {
	local files
	mapfile -t files < <(find pyproject.toml setup.py pyctl kernel -type f \
		\( -name '*.toml' -o -name 'setup.py' -o -name 'build.py' -o -name '*.[ch]' \) \
		! -name '_*.c' ! -name '*.mod.c' | sort)
	fingerprint "${files[@]}"
}

extract_checkpatch() {
	local scripts=linux-source-6.12/scripts
	mkdir -p "$checkpatch"
	step "unpacking checkpatch" tar -xJf "$source_tarball" -C "$checkpatch" --strip-components=2 \
		"$scripts/checkpatch.pl" "$scripts/spelling.txt" "$scripts/const_structs.checkpatch"
}

# extract FOLDER PACKAGE...: the programs of packages that would start services, and in share/ what
# Alertmanager wants to find in /usr/share.
extract() {
	local target=$1 folder
	shift
	folder=$(mktemp -d)
	step "unpacking $*" bash -c "cd '$folder' && apt-get -o APT::Sandbox::User=root download $* && \
		for package in *.deb; do dpkg-deb -x \"\$package\" . || exit; done"
	mkdir -p "$target"
	find "$folder" -path '*/usr/*bin/*' -type f -exec mv -t "$target" {} +
	if [ -d "$folder/usr/share/prometheus/alertmanager" ]; then
		mkdir -p "$target/share/prometheus"
		cp -r "$folder/usr/share/prometheus/alertmanager" "$target/share/prometheus"
	fi
	rm -rf "$folder"
}

[[ ${1-} =~ ^(debug)?$ ]] || die "usage: packaging/setup.sh [debug]"
mkdir -p build/log
exec 9>build/.setup-lock
flock 9

system=$(fingerprint packaging/setup.sh)
if ! stamped system "$system" || ! system_complete; then
	install_packages "${packages[@]}"
	system_complete || die "the packages are installed, but programs or kernels are missing"
	stamp system "$system"
fi

python=$(fingerprint packaging/requirements.lock)
if ! stamped venv "$python" || ! "$venv/bin/python" -c 'import pytest' 2>/dev/null; then
	make_venv
	stamp venv "$python"
	rm -f build/.stamp-project
fi

[ -f "$checkpatch/checkpatch.pl" ] || extract_checkpatch
[ -x "$prometheus/promtool" ] && [ -d "$prometheus/share" ] ||
	extract "$prometheus" prometheus prometheus-alertmanager
[ -x "$snmp/snmptrapd" ] || extract "$snmp" snmpd snmptrapd

if [ -f pyproject.toml ]; then
	project=$(project_fingerprint)
	if ! stamped project "$project"; then
		install_project
		stamp project "$project"
	fi
fi

[ "${1-}" != debug ] || install_packages "${debug_packages[@]}"
