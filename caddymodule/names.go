package caddymodule

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// How things may be called. Providers, tool servers and users become labels and
// parts of ids, so they are strict; what clients write as a model follows what
// OpenAI's ids look like.
var (
	lowerName = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)
	modelName = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)
)

const (
	lowerNameRule = "a name has 1 to 64 of a-z, 0-9, _ and -"
	modelNameRule = "a name has 1 to 128 of A-Z, a-z, 0-9, '.', '_', ':' and -"
)

const (
	openaiName = "openai"
	mockName   = "mock"
)

// knownProviders are the addresses at which providers of these names speak
// OpenAI's protocol, as their documentation gives them (November 2026).
var knownProviders = map[string]string{
	"openai":     "https://api.openai.com/v1",
	"groq":       "https://api.groq.com/openai/v1",
	"mistral":    "https://api.mistral.ai/v1",
	"cerebras":   "https://api.cerebras.ai/v1",
	"sambanova":  "https://api.sambanova.ai/v1",
	"deepseek":   "https://api.deepseek.com/v1",
	"together":   "https://api.together.xyz/v1",
	"fireworks":  "https://api.fireworks.ai/inference/v1",
	"openrouter": "https://openrouter.ai/api/v1",
	"xai":        "https://api.x.ai/v1",
	"anthropic":  "https://api.anthropic.com/v1",
	"gemini":     "https://generativelanguage.googleapis.com/v1beta/openai",
	"cohere":     "https://api.cohere.ai/compatibility/v1",
	"ollama":     "http://127.0.0.1:11434/v1",
	"vllm":       "http://127.0.0.1:8000/v1",
}

func knownProviderNames() string {
	return strings.Join(slices.Sorted(maps.Keys(knownProviders)), ", ")
}
