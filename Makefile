# Each recipe is a line or two that also work by hand, from this folder.

MODULE := github.com/universal-ai-gateway/magicproxy

# Tools, pinned; each is built once into .tools/.
GOLANGCI_LINT := v2.15.0
XCADDY        := v0.4.5
GOVULNCHECK   := v1.9.0

# FUZZTIME is how long each fuzz target runs; BENCH holds flags of loadtest/bench, as in make bench-gateway BENCH='-rounds 3'.
FUZZTIME ?= 20s
BENCH    ?=
# LOADTEST holds flags of loadtest/bench locust, as in make loadtest LOADTEST='-rounds 1 -time 20s'.
LOADTEST ?=

# What `make run` proposes to ask for: the first tier of Caddyfile.example.
MODEL = $(shell awk '$$1 == "tier" { print $$2; exit }' Caddyfile.example)

.PHONY: help build run sdk locust mcp backends backends-down test race fuzz bench bench-gateway loadtest loadtest-full profile sweep soak plots mcp-conformance lint example cross xcaddy vuln clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

build: ## build a Caddy with the gateway in it, bin/caddy
	go build -trimpath -o bin/caddy ./cmd/caddy

run: build ## build, print a line to try, and start on :8001 with Caddyfile.example
	@printf "\nTry it from another terminal:\n\n  curl -N http://localhost:8001/v1/chat/completions \\\\\n    -H 'Content-Type: application/json' \\\\\n    -d '%s'\n\n" \
		'{"model":"$(MODEL)","stream":true,"messages":[{"role":"user","content":"Hello"}]}'
	bin/caddy run --config Caddyfile.example

sdk: ## install the OpenAI SDKs that the tests use, once (needs python3 and npm)
	scripts/sdk

locust: ## install Locust, once (needs python3)
	scripts/locust

mcp: ## install the real tool servers and the conformance suite that the tests use, once (needs npm)
	scripts/mcp

backends: ## start Redis, MongoDB and Kafka on loopback, and print where (make backends-down ends them)
	@loadtest/backends up && loadtest/backends env

backends-down:
	loadtest/backends down

test: sdk mcp locust ## run all tests, with a Redis, a MongoDB and a Kafka of their own
	loadtest/backends run -- go test -shuffle=on ./...

race: sdk mcp locust ## run all tests with the race detector (needs a C compiler)
	loadtest/backends run -- go test -race -shuffle=on ./...

mcp-conformance: mcp ## run the client scenarios of the MCP conformance suite, and count
	go test -count=1 -v ./mcp/conformance

fuzz: ## run each fuzz target for FUZZTIME (20s)
	scripts/fuzz $(FUZZTIME)

bench: ## run the Go benchmarks
	loadtest/backends run -- go test -run '^$$' -bench . -benchmem ./...

bench-gateway: build ## compare with reverse_proxy under load (linux, ten minutes)
	loadtest/backends run -- go run ./loadtest/bench $(BENCH)

loadtest: build locust ## users of Locust against the gateway in mock mode, and against the floor (linux, five minutes)
	go run ./loadtest/bench locust -config embedded $(LOADTEST)

loadtest-full: build locust ## the same with Redis, MongoDB and Kafka, and the monitor beside it
	loadtest/backends run -- go run ./loadtest/bench locust -config full -users 10 $(LOADTEST)

profile: build locust ## the load test, once, with CPU, heap, mutex and block profiles and an execution trace (docs/profiling.md)
	go run ./loadtest/bench locust -config embedded -rounds 1 -time 40s -profile $(LOADTEST)

sweep: build ## throughput and cost by connections and prompts, memory by open streams (linux, ten minutes)
	go run ./loadtest/bench sweep $(BENCH)
	go run ./loadtest/bench -targets gateway -rounds 1 -memory=false -profile loadtest/results/flame >/dev/null

soak: build ## five times too much load, and clients that do not read (linux, four minutes)
	go run ./loadtest/bench soak

plots: locust ## draw what was measured into docs/plots
	.tools/locust-venv/bin/python loadtest/plots.py

lint: .tools/golangci-lint-$(GOLANGCI_LINT) ## check formatting and style
	test -z "$$(gofmt -s -l . | tee /dev/stderr)"
	$< run

example: build ## check every Caddyfile of the repository, also those in the documentation
	scripts/examples

cross: ## compile everything, tests too, for windows and darwin
	GOOS=windows go vet ./... && GOOS=windows go build ./...
	GOOS=darwin go vet ./... && GOOS=darwin go build ./...

xcaddy: .tools/xcaddy-$(XCADDY) ## build with xcaddy, as xcaddy.md says, bin/caddy-xcaddy
	$< build $(shell go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2) --with $(MODULE)@v0.0.0=. --output bin/caddy-xcaddy
	bin/caddy-xcaddy list-modules | grep ai_gateway

vuln: .tools/govulncheck-$(GOVULNCHECK) ## look for known vulnerabilities (fetches a database)
	$< ./...

clean: ## remove what was built; tools stay in .tools/
	rm -rf bin prof loadtest/results

.tools/golangci-lint-$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/.tools go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv .tools/golangci-lint $@

.tools/xcaddy-$(XCADDY):
	GOBIN=$(CURDIR)/.tools go install github.com/caddyserver/xcaddy/cmd/xcaddy@$(XCADDY)
	mv .tools/xcaddy $@

.tools/govulncheck-$(GOVULNCHECK):
	GOBIN=$(CURDIR)/.tools go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	mv .tools/govulncheck $@
