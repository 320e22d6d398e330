package caddymodule

import (
	"encoding/json"
	"strings"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// model is OpenAI's model object.
type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func (x *exchange) modelOf(id string) model {
	owner := "ai-gateway"
	if provider, _, ok := strings.Cut(id, "/"); ok {
		owner = provider
	}
	return model{ID: id, Object: "model", Created: x.h.app.created.Unix(), OwnedBy: owner}
}

// models answers /v1/models, and one model of it (contract R5).
func (x *exchange) models(id string) {
	app := x.h.app
	if id != "" {
		x.model = id
		if !app.named(id) || !x.allowed(id) {
			x.fail(openai.ModelNotFound(openai.Cut(id, 128)))
			return
		}
		x.json(x.modelOf(id))
		return
	}
	list := []model{}
	for _, name := range app.names() {
		if x.allowed(name) {
			list = append(list, x.modelOf(name))
		}
	}
	x.json(listOf(list))
}

func (x *exchange) json(v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // the types above cannot fail
	}
	x.answer(body)
}
