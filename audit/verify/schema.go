package verify

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// schemaText is docs/audit.schema.json; a test holds them together.
//
//go:embed schema.json
var schemaText []byte

// compile returns the schema of one event.
func compile() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText))
	if err != nil {
		return nil, err
	}
	const name = "urn:ai-gateway:audit-event"
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

var english = message.NewPrinter(language.English)

// violation says where an event does not satisfy the schema: the deepest place is the
// one to look at. Of alternatives the first counts, which is what the payload ought to
// be.
func violation(err error) string {
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return err.Error()
	}
	for len(v.Causes) > 0 {
		v = v.Causes[0]
	}
	where := "/" + strings.Join(v.InstanceLocation, "/")
	if k, ok := v.ErrorKind.(*kind.FalseSchema); ok {
		return fmt.Sprintf("%s: %v", where, k.LocalizedString(english))
	}
	return where + ": " + v.ErrorKind.LocalizedString(english)
}
