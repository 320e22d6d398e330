package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Caps on a schema. The validator's compiler takes time and memory that grow
// with the square of what it compiles.
const (
	maxSchema  = 256 << 10 // bytes
	maxObjects = 4096
	maxPaths   = 4 << 20 // bytes of all paths in it together
	maxRefs    = 1024    // references
)

// home is the schema's URL, for references within it; it leads nowhere.
const home = "schema:///tool.json"

// Compile compiles a schema: of draft 2020-12, unless $schema says otherwise. It
// never loads anything, so a reference that leads out of the schema is an error,
// and so is whatever could make checks run away. A pattern that RE2 does not know
// is not enforced. After an error the caller uses Any.
func Compile(raw json.RawMessage) (s *Schema, err error) {
	defer func() {
		if v := recover(); v != nil {
			s, err = nil, fmt.Errorf("schema: the compiler failed: %v", v)
		}
	}()
	if len(raw) > maxSchema {
		return nil, fmt.Errorf("schema: larger than %d bytes", maxSchema)
	}
	doc, problem := parse(raw, schemaLimits)
	if problem != nil {
		return nil, fmt.Errorf("schema: %w", problem)
	}
	if doc.kind != '{' && doc.kind != 't' {
		return nil, errors.New("schema: not an object")
	}
	if err := new(inspection).look(doc, 0); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(nowhere{})
	c.UseRegexpEngine(new(engine).compile)
	if err := c.AddResource(home, doc.plain); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	root, err := c.Compile(home)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	s = &Schema{root: root}
	if err := s.gather(); err != nil {
		return nil, err
	}
	return s, nil
}

// nowhere is a loader that loads nothing.
type nowhere struct{}

func (nowhere) Load(address string) (any, error) {
	return nil, fmt.Errorf("%s is outside of the schema, and nothing is loaded", cut(address))
}

// inspection looks for what must not reach the compiler.
type inspection struct{ objects, paths, refs int }

func (n *inspection) look(v *value, path int) error {
	if v.kind == '{' {
		n.objects++
		n.paths += path
	}
	if n.objects > maxObjects || n.paths > maxPaths {
		return errors.New("too large")
	}
	for _, p := range v.parts {
		if p.name == "$ref" && p.v.kind == '"' {
			n.refs++
			if n.refs > maxRefs || !plainRef(p.v.text) {
				return fmt.Errorf("too many references, or an odd one: %s", cut(p.v.text))
			}
		}
		if err := n.look(p.v, path+len(p.name)+2); err != nil {
			return err
		}
	}
	return nil
}

// plainRef refuses pointers with indexes that are written in an unusual way: each
// spelling of a place is compiled as a schema of its own.
func plainRef(ref string) bool {
	_, fragment, _ := strings.Cut(ref, "#")
	pointer, err := url.PathUnescape(fragment)
	if err != nil {
		return false
	}
	for token := range strings.SplitSeq(pointer, "/") {
		if len(token) > 1 && (token[0] == '0' || token[0] == '+' || token[0] == '-') {
			return false
		}
	}
	return true
}
