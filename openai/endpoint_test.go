package openai

import "testing"

// contract: R6
func TestEndpoints(t *testing.T) {
	paths := map[string]string{
		"chat": "/chat/completions", "completions": "/completions", "embeddings": "/embeddings", "responses": "/responses",
	}
	for _, ep := range Endpoints() {
		if got, want := ep.Path(), paths[ep.String()]; got != want {
			t.Errorf("%v: path %q, want %q", ep, got, want)
		}
		if got, want := ep.EndsWithDone(), ep == Chat || ep == Completions; got != want {
			t.Errorf("%v: ends with [DONE]: %v", ep, got)
		}
		delete(paths, ep.String())
	}
	if len(paths) > 0 {
		t.Errorf("not listed: %v", paths)
	}
}
