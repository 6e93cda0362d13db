#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Every command of `chapterctl help` is in the manual page, and its options are, too.
set -u
bin=${CHAPTERD_BIN:-$(dirname "$0")/../../build/release/bin}
page=$(dirname "$0")/../../client/chapterctl.1
missing=0

# The page without roff's requests and escapes, on one line.
text=$(sed -e 's/^\.\\".*//' -e 's/\\f[BIRP]//g' -e 's/\\-/-/g' -e 's/^\.[A-Z]* *//' -e 's/"//g' \
    "$page" | tr '\n' ' ' | tr -s ' ')

commands=$("$bin/chapterctl" help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\( [a-z]*\)\{0,1\}\)  .*/\1/p')
if [ "$(printf '%s\n' "$commands" | wc -l)" -lt 10 ]; then
    echo "chapterctl help lists no commands"
    exit 1
fi

# need what where: fails the test unless the page has it as words of their own
need() {
    case " $text " in
    *[!a-z-]"$1"[!a-z-]*) ;;
    *)
        echo "$1 ($2) is not in $page"
        missing=1
        ;;
    esac
}

while read -r command; do
    need "$command" "a command"
    # shellcheck disable=SC2086 # a noun and a verb
    for option in $("$bin/chapterctl" help $command | head -n 1 | grep -oE -- '-+[a-z]+(-[a-z]+)*'); do
        need "$option" "of $command"
    done
done <<EOF
$commands
EOF

# every cause that explain may name
causes=$(sed -n 's/^ *X([A-Z_]*, "\([a-z-]*\)", .*/\1/p' "$(dirname "$0")/../../include/chapterd/control.h")
if [ "$(printf '%s\n' "$causes" | wc -l)" -lt 10 ]; then
    echo "control.h lists no causes"
    exit 1
fi
for cause in $causes; do
    need "$cause" "a cause of explain"
done
exit $missing
