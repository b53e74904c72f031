# Everything a developer runs. `make` alone lists it.
export CGO_ENABLED := 0
.DEFAULT_GOAL := help
.PHONY: help build demo test lint sim e2e bench

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

build: ## build bin/drover, one static binary
	go build -o bin/drover ./cmd/drover

demo: build ## a folder of customer reviews becomes a report, on a grid of workers
	go run ./examples/reviews/demo

test: ## format, vet and all tests; lists what was skipped and why
	@scripts/test.sh

lint: ## vet, and staticcheck where it is installed
	go vet ./...
	@if command -v staticcheck >/dev/null; then staticcheck ./...; else echo "staticcheck is not installed: only go vet ran"; fi

sim: ## the real manager under thousands of seeded faults (SEED=n for one)
	go test -count=1 -timeout 30m ./internal/sim -args -seeds=$(or $(SEEDS),2000) -seed=$(or $(SEED),0)

e2e: build ## clients from outside (aws CLI, boto3) against the binary
	go test -count=1 -timeout 30m ./e2e/...

bench: build ## how fast it is here, as ratios to what this machine can do
	go run ./bench/firstjob
	go run ./bench/objects
	go run ./bench/manager
	go run ./bench/containers
