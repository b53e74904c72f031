#!/bin/sh
# What `make test` runs: format, vet, every test, and a summary at the end.
# Arguments go to go test instead of ./... : scripts/test.sh -run TestFloors ./internal/house
cd "$(dirname "$0")/.." || exit 1
export CGO_ENABLED=0
failed=""

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
	echo "Not formatted; run gofmt -w on:"
	echo "$unformatted"
	failed="gofmt"
fi
go vet ./... || failed="$failed vet"
[ $# -gt 0 ] || set -- ./...
go build -o bin/testreport ./scripts/testreport || exit 1
ALSO_FAILED=$failed exec bin/testreport -count=1 -timeout 10m "$@"
