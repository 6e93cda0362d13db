#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The systemd unit agrees with what the program does by default, and systemd understands all of it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
bin=${CHAPTERD_BIN:-$here/../../build/release/bin}
unit=${CHAPTERD_SERVICE:-$here/../../build/release/daemon/chapterd.service}
bad=0

value() {
    sed -n "s/^$1=//p" "$unit"
}

# same what here there
same() {
    if [ -z "$2" ] || [ "$2" != "$3" ]; then
        echo "$1: the unit has \"$2\", expected \"$3\""
        bad=1
    fi
}

directory=$("$bin/chapterd" help | sed -n 's/^Without --dir: \([^ ]*\) as root.*/\1/p')
limits=$here/../../include/chapterd/limits.h
descriptors=$(sed -n 's/^#define DESCRIPTORS_MAX \([0-9]*\).*/\1/p' "$limits")
set -f
# shellcheck disable=SC2046 # words
set -- $(value ExecStart)
same "the program's name" "${1##*/}" chapterd
same "the command" "$2 $3" "run --dir"
same "the node's directory" "$4" "$directory"
same "StateDirectory" "/var/lib/$(value StateDirectory)" "$directory"
same "ConditionPathExists" "$(value ConditionPathExists)" "$directory/keys"
same "LimitNOFILE" "$(value LimitNOFILE)" "$descriptors"
same "LimitCORE" "$(value LimitCORE)" 0
same "User" "$(value User)" chapterd
for word in @ '^StandardOutput'; do
    if grep -n "$word" "$unit"; then
        echo "\"$word\" is left in $unit"
        bad=1
    fi
done

# What the manual and the README tell people to do names the same places.
for page in "$here/../../daemon/chapterd.8" "$here/../../README.md"; do
    for word in chapterd.service "$directory" /var/backups/chapterd; do
        if ! grep -qF -- "$word" "$page"; then
            echo "$word is not in $page"
            bad=1
        fi
    done
done
same "ReadWritePaths" "$(value ReadWritePaths)" -/var/backups/chapterd

if ! command -v systemd-analyze >/dev/null; then
    echo "there is no systemd-analyze: not verified"
    exit $bad
fi
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT
# The program as it was built: it need not be installed, nor /bin/kill, which a small system lacks.
sed -e "s,^ExecStart=[^ ]*,ExecStart=$bin/chapterd," -e 's,^ExecReload=/bin/kill ,ExecReload=/bin/sh -c kill ,' \
    "$unit" >"$copy/chapterd.service"
found=$(systemd-analyze verify --man=no "$copy/chapterd.service" 2>&1 | grep -F chapterd.service)
if [ -n "$found" ]; then
    echo "$found"
    bad=1
fi
exit $bad
