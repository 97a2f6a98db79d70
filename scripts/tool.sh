#!/usr/bin/env bash
# Runs a pinned tool on modules: tool.sh TOOL@VERSION MODULE…
#
# Where the tool cannot be fetched, or finds no database to compare with, it says so and goes on: neither is a fault of the
# code. What the tool finds fails.
set -euo pipefail

tool=$1
shift
go=${GO:-go}
name=$(basename "${tool%@*}")

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
if ! GOBIN="$bin" "$go" install "$tool" >"$bin/log" 2>&1; then
	echo "$name: skipped, $tool cannot be fetched or built:"
	tail -n 3 "$bin/log"
	exit 0
fi
for module in "$@"; do
	echo "$name, $module"
	status=0
	(cd "$module" && "$bin/$name" ./...) >"$bin/log" 2>&1 </dev/null || status=$?
	if [ "$status" = 0 ]; then
		continue
	fi
	if [ "$name" = govulncheck ] && grep -q 'fetching vulnerabilities' "$bin/log"; then
		echo "$name: skipped, there is no database of vulnerabilities to be had:"
		tail -n 3 "$bin/log"
		exit 0
	fi
	cat "$bin/log"
	exit "$status"
done
