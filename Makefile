# Millrace's commands for people. `make` alone lists them.
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what the tests use (says first what; does nothing when all is there)
	@scripts/setup

test: ## run the tests with what is installed, and say what was skipped
	@scripts/test

vet: ## go vet and golangci-lint
	go vet ./...
	go vet -tags soak ./...
	cd tools && go build -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	bin/golangci-lint run ./...

race: ## the short tests under the race detector
	go test -short -race ./...

soak: ## the long fault runs (an hour; SOAK=10m for less)
	MILLRACE_SOAK=$${SOAK:-1h} go test -tags soak -timeout 0 -count=1 -p 1 -run 'Soak' -v ./...

bench: ## speed beside the peers, ten interleaved pairs each
	cd bench && go run ./olap

segments: ## DuckDB reads the warehouse's files and finds the same values
	cd bench && go test -count=1 ./segments

build: ## both programs into bin/
	CGO_ENABLED=0 go build -o bin/etl ./cmd/etl
	CGO_ENABLED=0 go build -o bin/warehouse ./cmd/warehouse

.PHONY: help setup test vet race soak bench segments build
