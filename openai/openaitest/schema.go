// Package openaitest checks JSON against the schemas OpenAI publishes for its
// API, so that a test's idea of the wire is OpenAI's and not its author's.
//
//	openaitest.Schema(t, "CreateChatCompletionResponse").Validate(t, body)
package openaitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is where OpenAI's description lies, relative to the module's root:
// beside it, since it is data of the project and not source.
const document = "../shared/data/openai-openapi.json"

// base is the URL the document has for the compiler; it is never fetched.
const base = "openai.json"

// Validator checks documents against one schema. It is safe for concurrent use.
type Validator struct {
	name   string
	schema *jsonschema.Schema
}

// Schema returns the schema of that name under components/schemas. It skips the
// test when the description is not there, and fails it when the schema is not.
// The description is parsed once per test binary, a schema compiled once.
func Schema(tb testing.TB, name string) *Validator {
	tb.Helper()
	c, err := load()
	if errors.Is(err, fs.ErrNotExist) {
		tb.Skipf("OpenAI's API description is needed for this test and is not there: %v", err)
	}
	if err != nil {
		tb.Fatalf("loading OpenAI's API description: %v", err)
	}
	// A compiler belongs to one goroutine at a time, and keeps what it compiled.
	compiling.Lock()
	defer compiling.Unlock()
	s, err := c.Compile(base + "#/components/schemas/" + name)
	if err != nil {
		tb.Fatalf("schema %s: %v", name, err)
	}
	return &Validator{name: name, schema: s}
}

// Validate fails the test when doc does not satisfy the schema.
func (v *Validator) Validate(tb testing.TB, doc []byte) {
	tb.Helper()
	if err := v.Check(doc); err != nil {
		tb.Errorf("%v\nin %s", err, doc)
	}
}

// Check says why doc does not satisfy the schema, nil when it does.
func (v *Validator) Check(doc []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if err := v.schema.Validate(value); err != nil {
		return fmt.Errorf("does not satisfy %s: %w", v.name, err)
	}
	return nil
}

var compiling sync.Mutex

var load = sync.OnceValues(func() (*jsonschema.Compiler, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(document)))
	if err != nil {
		return nil, err
	}
	// The rest of the description, some 2 MB of paths, is of no use here.
	var api struct {
		Components struct {
			Schemas json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &api); err != nil {
		return nil, err
	}
	schemas, err := jsonschema.UnmarshalJSON(bytes.NewReader(api.Components.Schemas))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2019) // the document uses $recursiveRef
	return c, c.AddResource(base, map[string]any{
		"components": map[string]any{"schemas": allowNull(schemas)},
	})
})

// allowNull rewrites `nullable: true` throughout a schema. The description says
// it is OpenAPI 3.1, whose schemas are JSON Schema, and JSON Schema has no such
// keyword; but in a hundred places it is written as OpenAPI 3.0 had it. Taken as
// it stands, the keyword would be ignored and every null refused: the
// finish_reason of an ordinary chunk, to begin with.
func allowNull(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = allowNull(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = allowNull(v[key])
		}
		// A property may be called nullable too: then it is a schema, not true.
		if v["nullable"] == true {
			delete(v, "nullable")
			return map[string]any{"anyOf": []any{v, map[string]any{"type": "null"}}}
		}
	}
	return v
}

// moduleRoot finds the folder of go.mod: a test runs in its package's folder.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("looking for the module's root: %w", err)
		}
		dir = up
	}
}
