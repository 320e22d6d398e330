package caddymodule

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/dustin/go-humanize"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("ai_gateway", parseGlobal)
	httpcaddyfile.RegisterHandlerDirective("ai_gateway", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("ai_gateway", httpcaddyfile.Before, "respond")
}

// parseGlobal reads the global option. A further block is merged into the ones
// before it.
func parseGlobal(d *caddyfile.Dispenser, existing any) (any, error) {
	app := new(App)
	if before, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(before.Value, app); err != nil {
			return nil, err
		}
	}
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "ai_gateway", Value: caddyconfig.JSON(app, nil)}, nil
}

var globalWords = []string{"mock", "provider", "tier", "token"}

// UnmarshalCaddyfile sets up the app from the global option. Syntax:
//
//	ai_gateway {
//		mock     [<bool>]
//		token    <user> <secret...>
//		provider <name> [<protocol>] {
//			...
//		}
//		tier <name> {
//			rotate   <target...>
//			fallback <target...>
//		}
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // ai_gateway
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		var err error
		switch word := d.Val(); word {
		case "mock":
			err = a.unmarshalMock(d)
		case "token":
			err = a.unmarshalToken(d)
		case "provider":
			err = a.unmarshalProvider(d)
		case "tier":
			err = a.unmarshalTier(d)
		default:
			err = unknownWord(d, "ai_gateway", globalWords)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *App) unmarshalMock(d *caddyfile.Dispenser) error {
	if a.Mock != "" {
		return d.Err("mock: already specified")
	}
	args := d.RemainingArgs()
	switch {
	case len(args) > 1:
		return d.Err("mock: takes at most one value")
	case len(args) == 0:
		a.Mock = "on"
	default:
		a.Mock = args[0]
		if a.Mock == "" {
			a.Mock = "off" // an environment variable that is not set
		}
		if !strings.Contains(a.Mock, "{") {
			if _, err := truth(a.Mock); err != nil {
				return d.Errf("mock: %v", err)
			}
		}
	}
	return noBlock(d, "mock")
}

func (a *App) unmarshalToken(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.Err("token: expected a user and at least one secret: token <user> <secret...>")
	}
	if !lowerName.MatchString(args[0]) {
		return d.Errf("token %q: %s", args[0], lowerNameRule)
	}
	for i, secret := range args[1:] {
		if secret == "" {
			return d.Errf("token %s: secret %d is empty", args[0], i+1)
		}
	}
	if a.Tokens == nil {
		a.Tokens = make(map[string][]string)
	}
	if a.Tokens[args[0]] != nil {
		return d.Errf("token %s: already specified; give all secrets in one line", args[0])
	}
	a.Tokens[args[0]] = args[1:]
	return noBlock(d, "token")
}

func (a *App) unmarshalTier(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Err("tier: expected one name")
	}
	name := args[0]
	if !modelName.MatchString(name) {
		return d.Errf("tier %q: %s", name, modelNameRule)
	}
	if a.Tiers[name] != nil {
		return d.Errf("tier %s: already specified", name)
	}
	t := new(Tier)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var list *[]string
		word := d.Val()
		switch word {
		case "rotate":
			list = &t.Rotate
		case "fallback":
			list = &t.Fallback
		default:
			return unknownWord(d, "tier "+name, []string{"rotate", "fallback"})
		}
		targets := d.RemainingArgs()
		if len(targets) == 0 {
			return d.Errf("%s: expected at least one target", word)
		}
		*list = append(*list, targets...)
		if err := noBlock(d, word); err != nil {
			return err
		}
	}
	if len(t.Rotate) == 0 {
		return d.Errf("tier %s: no rotate", name)
	}
	if a.Tiers == nil {
		a.Tiers = make(map[string]*Tier)
	}
	a.Tiers[name] = t
	return nil
}

// unknownWord is the error for a word nobody knows.
func unknownWord(d *caddyfile.Dispenser, where string, allowed []string) error {
	allowed = slices.Sorted(slices.Values(allowed))
	return d.Errf("%s: unknown option '%s' (allowed: %s)", where, d.Val(), strings.Join(allowed, ", "))
}

// noBlock refuses a block behind a word that has none.
func noBlock(d *caddyfile.Dispenser, word string) error {
	if nesting := d.Nesting(); d.NextBlock(nesting) {
		return d.Errf("%s: takes no block", word)
	}
	return nil
}

// reader reads the options of one block: each at most once.
type reader struct {
	*caddyfile.Dispenser
	seen map[string]bool
}

func (r *reader) once() error {
	word := r.Val()
	if r.seen[word] {
		return r.Errf("%s: already specified", word)
	}
	if r.seen == nil {
		r.seen = make(map[string]bool)
	}
	r.seen[word] = true
	return nil
}

// args returns the values of an option that takes between least and most.
func (r *reader) args(least, most int, syntax string) ([]string, error) {
	word := r.Val()
	args := r.RemainingArgs()
	if len(args) < least || len(args) > most {
		return nil, r.Errf("%s: expected %s", word, syntax)
	}
	return args, noBlock(r.Dispenser, word)
}

const many = 1 << 16

// arg is args for an option that occurs once and has one value.
func (r *reader) arg(syntax string) (string, error) {
	if err := r.once(); err != nil {
		return "", err
	}
	args, err := r.args(1, 1, syntax)
	if err != nil {
		return "", err
	}
	return args[0], nil
}

// duration reads an option with a duration above zero; off stands for -1 where
// it is allowed.
func (r *reader) duration(off bool) (caddy.Duration, error) {
	word, syntax := r.Val(), "a duration such as 30s"
	if off {
		syntax += ", or off"
	}
	v, err := r.arg(syntax)
	if err != nil {
		return 0, err
	}
	if off && v == "off" {
		return -1, nil
	}
	return r.parseDuration(word, v, syntax)
}

func (r *reader) parseDuration(word, v, syntax string) (caddy.Duration, error) {
	d, err := caddy.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, r.Errf("%s: %q is not %s", word, v, syntax)
	}
	return caddy.Duration(d), nil
}

// number reads a whole number of at least least.
func (r *reader) number(word, v string, least int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < least {
		return 0, r.Errf("%s: %q is not a whole number of at least %d", word, v, least)
	}
	return n, nil
}

// size reads a number of bytes such as 20MiB.
func (r *reader) size() (int64, error) {
	word := r.Val()
	v, err := r.arg("a size such as 20MiB")
	if err != nil {
		return 0, err
	}
	const most = 1 << 30 // offsets in a body are 32 bits
	n, err := humanize.ParseBytes(v)
	if err != nil || n == 0 || n > most {
		return 0, r.Errf("%s: %q is not a size such as 20MiB, up to 1GiB", word, v)
	}
	return int64(n), nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*App)(nil)
	_ caddyfile.Unmarshaler = (*Handler)(nil)
	_ caddyfile.Unmarshaler = (*OpenAI)(nil)
	_ caddyfile.Unmarshaler = (*Mock)(nil)
)
