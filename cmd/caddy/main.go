// Command caddy is a Caddy with the gateway built in.
package main

import (
	"os"
	"runtime"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/universal-ai-gateway/magicproxy/caddymodule"
)

func main() {
	// Caddy's admin API has the profiles of waiting, but nothing is in them unless somebody asks for it before: every lock that
	// is waited for costs a little more then. docs/profiling.md uses it.
	if os.Getenv("PROFILE_CONTENTION") == "on" {
		runtime.SetMutexProfileFraction(1)
		runtime.SetBlockProfileRate(10_000) // one sample per 10 µs of waiting
	}
	caddycmd.Main()
}
