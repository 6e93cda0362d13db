#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# again_test.sh SIM CHAPTERD: two runs of a seed leave the same trace, a plan written to a file
# runs like the seed that drew it, and the daemon knows no deliberate mistakes.
set -eu
sim=$1
chapterd=$2
plan=$(mktemp)
trap 'rm -f "$plan"' EXIT

for seed in 1 7 12 39 112; do
    first=$("$sim" --seed "$seed")
    second=$("$sim" --seed "$seed")
    "$sim" --plan "$seed" >"$plan"
    third=$("$sim" --case "$plan")
    echo "$first"
    if [ "$first" != "$second" ] || [ "${first##* }" != "${third##* }" ]; then
        echo "another run: $second"
        echo "its plan: $third"
        exit 1
    fi
done
test -x "$chapterd"
if grep -q -e SENT_BEFORE_COMMIT -e bug_made "$chapterd"; then
    echo "$chapterd has the mistakes of proto/bug.h in it"
    exit 1
fi
