package caddymodule

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// guests lists the guest modules of a slot.
func guests(namespace string) []string {
	var names []string
	for _, m := range caddy.GetModules(namespace) {
		names = append(names, m.ID.Name())
	}
	return slices.Sorted(slices.Values(names))
}

// guest reads the block of a slot whose options are partly the host's: those in
// hostWords are read by option, all else goes to the guest module, with its files
// and lines. args are what stands between the guest's name and the block.
func (r *reader) guest(namespace, name string, args []caddyfile.Token, hostWords []string, option func() error) (json.RawMessage, error) {
	// The guest's block has the braces of ours: made-up ones could be on the line
	// of a token that spans several, and copies of a quoted one would be quoted.
	d := r.Dispenser
	head := d.Token()
	head.Text = name // the first token of a module is its name
	tokens := append([]caddyfile.Token{head}, args...)
	bare := len(tokens)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if len(tokens) == bare {
			d.Prev()
			tokens = append(tokens, d.Token())
			d.Next()
		}
		if !slices.Contains(hostWords, d.Val()) {
			tokens = append(tokens, d.NextSegment()...)
			continue
		}
		if err := option(); err != nil {
			return nil, err
		}
	}
	if len(tokens) > bare {
		tokens = append(tokens, d.Token())
	}
	guest := caddyfile.NewDispenser(tokens)
	guest.Next()
	m, err := caddyfile.UnmarshalModule(guest, namespace+"."+name)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(m, "name", name, nil), nil
}

// slot reads the line of a slot up to its block: the guest's name, and what stands
// behind it. Without a name the error lists those there are.
func (r *reader) slot(namespace string, also ...string) (name string, args []caddyfile.Token, err error) {
	word, known := r.Val(), slices.Sorted(slices.Values(append(guests(namespace), also...)))
	if err = r.once(); err != nil {
		return "", nil, err
	}
	if !r.NextArg() || closing(r.Token()) {
		return "", nil, r.Errf("%s: expected %s", word, alternatives(known))
	}
	if name = r.Val(); !slices.Contains(known, name) {
		return "", nil, r.Errf("%s: expected %s, not '%s'", word, alternatives(known), name)
	}
	for r.NextArg() {
		if closing(r.Token()) {
			return "", nil, r.Errf("%s: a } that ends a block has a line of its own; in quotes it is a value", word)
		}
		args = append(args, r.Token())
	}
	return name, args, nil
}
