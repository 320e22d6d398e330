// Package magicproxy is the Universal AI Gateway for Caddy: an OpenAI-compatible gateway that rotates over providers, models and
// keys, fails over between them and streams one well-formed answer back.
//
// There is nothing to call here. The import puts the app ai_gateway, the handler http.handlers.ai_gateway and their Caddyfile
// grammar into a Caddy:
//
//	xcaddy build --with github.com/universal-ai-gateway/magicproxy
package magicproxy

import _ "github.com/universal-ai-gateway/magicproxy/caddymodule" // registers the modules
