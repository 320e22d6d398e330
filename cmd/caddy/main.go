// Command caddy is a Caddy with the gateway built in.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/universal-ai-gateway/magicproxy/caddymodule"
)

func main() { caddycmd.Main() }
