// Package schema holds the arguments of a tool call against the tool's JSON
// Schema, and turns them into what was meant where that is plain.
//
// A model writes "5" where 5 is asked for, or "light" where a list is. Check
// returns arguments that satisfy the schema: the very same bytes if they do
// already, coerced ones if exactly one reading of them does, and otherwise a
// Problem that says to the model what is wrong where (contracts A6, A8). It never
// makes a value up, also not from a default.
//
//	s, err := schema.Compile(tool.InputSchema)
//	if err != nil {
//		s = schema.Any() // the tool server checks for itself
//	}
//	args, coerced, err := s.Check(call.Arguments)
//
// Schemas come from tool servers and arguments from models, so neither is trusted:
// nothing is ever loaded, sizes are capped, and the work of a check is bounded
// before it is done.
package schema

import (
	"encoding/json"
	"errors"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// MaxArguments is how many bytes of arguments are checked at most.
const MaxArguments = 1 << 20

// Schema is a compiled schema. It never changes and is safe for concurrent use.
type Schema struct {
	root  *jsonschema.Schema // nil accepts every object
	facts map[*jsonschema.Schema]*facts
	at    map[string]*jsonschema.Schema // by location
}

// Any returns the schema that accepts every object, for tools that have none or
// one that does not compile.
func Any() *Schema { return &Schema{} }

// Check returns arguments that satisfy the schema: args itself if they do, else
// the one reading of them that does, and then coerced is true. Bytes and order of
// what needed no change stay. The error is a *Problem.
func (s *Schema) Check(args json.RawMessage) (out json.RawMessage, coerced bool, err error) {
	defer func() {
		// The validator is not ours, and its input is anybody's.
		if recover() != nil {
			out, coerced, err = nil, false, uncheckable()
		}
	}()
	return s.check(args)
}

func (s *Schema) check(args json.RawMessage) (out json.RawMessage, coerced bool, err error) {
	if len(args) > MaxArguments {
		return nil, false, uncheckable()
	}
	doc, problem := parse(args, argumentLimits)
	if problem != nil {
		return nil, false, problem
	}
	c := &checker{schema: s, work: maxWork}
	var invalid error
	if doc.kind == '{' {
		if invalid = c.validate(s.root, doc); invalid == nil {
			return args, false, nil
		}
		if errors.Is(invalid, errWork) {
			return nil, false, uncheckable()
		}
	}
	if r := c.coerce(doc); r.n == 1 && !c.exhausted {
		return r.v.raw, true, nil
	}
	return nil, false, s.problem(doc, invalid)
}
