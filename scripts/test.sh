#!/bin/sh
# What `make test` runs: format, vet, every test, and a summary at the end.
# Arguments go to go test instead of ./... : scripts/test.sh -run TestFloors ./internal/house
cd "$(dirname "$0")/.." || exit 1
export CGO_ENABLED=0
status=0

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
	echo "Not formatted; run gofmt -w on: $unformatted"
	status=1
fi
vetted=yes
go vet ./... || { vetted=no; status=1; }
[ $# -gt 0 ] || set -- ./...
go run ./scripts/testreport -count=1 -timeout 10m "$@" || status=1
[ $vetted = yes ] || echo "FAIL: go vet found something, see the first lines"
if [ -n "$unformatted" ]; then
	echo "FAIL: files are not formatted, see the first lines"
fi
exit $status
