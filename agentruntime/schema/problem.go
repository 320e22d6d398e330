package schema

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// maxPlaces is how many places a Problem lists.
const maxPlaces = 5

// Problem says what is wrong with arguments, in words for a model (contract A6).
type Problem struct { //nolint:errname // it is an answer to the model as much as an error
	Places []Place
	More   int // how many places are not listed
}

// Place is one of them: where, what should be there, what is.
type Place struct {
	Path string // a JSON pointer; empty for the arguments as a whole
	Want string // like: integer
	Got  string // like: string "five"
}

func (p *Problem) Error() string {
	var b strings.Builder
	for i, at := range p.Places {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: expected %s, found %s", cmp.Or(at.Path, "arguments"), at.Want, at.Got)
	}
	if p.More > 0 {
		fmt.Fprintf(&b, "; and %d more", p.More)
	}
	return b.String()
}

func problemAt(path []string, want, got string) *Problem {
	return &Problem{Places: []Place{{pointer(path), want, got}}}
}

func uncheckable() *Problem {
	return problemAt(nil, "arguments that can be checked against the schema", "too much for that")
}

func pointer(path []string) string {
	var b strings.Builder
	for _, token := range path {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1"))
	}
	return cutTo(line(b.String()), 5*maxExcerpt)
}

// problem says what the validator found in doc.
func (s *Schema) problem(doc *value, invalid error) *Problem {
	var found *jsonschema.ValidationError
	if doc.kind != '{' || !errors.As(invalid, &found) {
		return problemAt(nil, "object", show(doc))
	}
	r := report{schema: s, doc: doc}
	r.collect(found)
	if len(r.places) == 0 {
		r.add(nil, "arguments that satisfy the schema", show(doc))
	}
	slices.SortStableFunc(r.places, func(a, b Place) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Want, b.Want))
	})
	p := &Problem{Places: slices.Compact(r.places)}
	if p.More = len(p.Places) - maxPlaces; p.More > 0 {
		p.Places = p.Places[:maxPlaces]
	}
	p.More = max(p.More, 0)
	return p
}

// report gathers places.
type report struct {
	schema *Schema
	doc    *value
	places []Place
}

func (r *report) add(path []string, want, got string) {
	r.places = append(r.places, Place{pointer(path), want, got})
}

func (r *report) collect(e *jsonschema.ValidationError) {
	if len(r.places) >= 100 {
		return
	}
	at := e.InstanceLocation
	here := r.schema.at[e.SchemaURL]
	switch k := e.ErrorKind.(type) {
	case nil:
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, cause := range e.Causes {
			r.collect(cause)
		}
	case *kind.AnyOf:
		r.collectBranch(e, here)
	case *kind.OneOf:
		if k.Subschemas == nil {
			r.collectBranch(e, here)
		} else {
			r.add(at, "exactly one of the alternatives to fit, which are "+describe(here, 2), show(r.value(at)))
		}
	case *kind.Required:
		r.missing(at, k.Missing, here)
	case *kind.DependentRequired:
		r.missing(at, k.Missing, here)
	case *kind.Dependency:
		r.missing(at, k.Missing, here)
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			path := append(slices.Clone(at), name)
			r.add(path, "no such property ("+knownProperties(here)+")", show(r.value(path)))
		}
	case *kind.FalseSchema:
		r.add(at, "nothing", show(r.value(at)))
	default:
		r.add(at, expected(e.ErrorKind, here), show(r.value(at)))
	}
}

// collectBranch tells of the one alternative that was meant, if that is plain,
// else what the alternatives are.
func (r *report) collectBranch(e *jsonschema.ValidationError, s *jsonschema.Schema) {
	var meant []*jsonschema.ValidationError
	for _, cause := range e.Causes {
		if !other(cause, len(e.InstanceLocation)) {
			meant = append(meant, cause)
		}
	}
	if len(meant) == 1 {
		r.collect(meant[0])
		return
	}
	r.add(e.InstanceLocation, describe(s, 2), show(r.value(e.InstanceLocation)))
}

// other reports whether an alternative was not the one that was meant: the value
// is of another type, or a property that names the alternative has another value.
func other(e *jsonschema.ValidationError, depth int) bool {
	switch k := e.ErrorKind.(type) {
	case *kind.Type, *kind.FalseSchema:
		return len(e.InstanceLocation) == depth
	case *kind.Enum:
		return len(e.InstanceLocation) == depth || len(k.Want) == 1
	case *kind.Const:
		return true
	}
	return slices.ContainsFunc(e.Causes, func(cause *jsonschema.ValidationError) bool { return other(cause, depth) })
}

func (r *report) missing(at, names []string, s *jsonschema.Schema) {
	for _, name := range names {
		want := "value"
		if s != nil && s.Properties[name] != nil {
			want = describe(s.Properties[name], 2)
		}
		r.add(append(slices.Clone(at), name), want+" (required)", "nothing")
	}
}

// value returns the value at a path.
func (r *report) value(path []string) *value {
	v := r.doc
	for _, token := range path {
		i := -1
		if v.kind == '{' {
			i = slices.IndexFunc(v.parts, func(p part) bool { return p.name == token })
		} else if n, err := strconv.Atoi(token); err == nil && n < len(v.parts) {
			i = n
		}
		if i < 0 {
			return v
		}
		v = v.parts[i].v
	}
	return v
}
