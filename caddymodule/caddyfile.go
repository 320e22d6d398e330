package caddymodule

import (
	"encoding/json"
	"math"
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

// The two places that share a name.
const (
	globalPlace  = "global option ai_gateway"
	handlerPlace = "directive ai_gateway"
)

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

var globalWords = []string{"mock", "provider", "tier", "token", "mcp", "pattern", "agent", "store", "users", "audit"}

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
//			cache    <ttl>
//		}
//		mcp <name> <url> | <name> stdio <command> [<argument...>] {
//			...
//		}
//		pattern <name> {
//			...
//		}
//		agent <name> {
//			...
//		}
//		store memory | redis <url> {
//			...
//		}
//		users local [<path>] | mongodb <url> {
//			...
//		}
//		audit off | file [<dir>] | kafka <broker...> {
//			...
//		}
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // ai_gateway
	if d.NextArg() {
		return d.Errf("global option ai_gateway: unexpected '%s': its options go into a block", d.Val())
	}
	r := &reader{Dispenser: d}
	for d.NextBlock(0) {
		var err error
		switch d.Val() {
		case "mock":
			err = a.unmarshalMock(r)
		case "token":
			err = a.unmarshalToken(r)
		case "provider":
			err = a.unmarshalProvider(r)
		case "tier":
			err = a.unmarshalTier(r)
		case "mcp":
			err = a.unmarshalToolServer(r)
		case "pattern":
			err = a.unmarshalPattern(r)
		case "agent":
			err = a.unmarshalAgent(r)
		case "store":
			err = a.unmarshalStore(r)
		case "users":
			err = a.unmarshalUsers(r)
		case "audit":
			err = a.unmarshalAudit(r)
		default:
			err = unknownWord(d, globalPlace, globalWords)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *App) unmarshalMock(r *reader) error {
	if a.Mock != "" {
		return r.Err("mock: already specified")
	}
	values, err := r.values(0, 1, "on, off or a placeholder")
	switch {
	case err != nil:
		return err
	case len(values) == 0:
		a.Mock = "on"
	case values[0] == "":
		a.Mock = "off" // "{$NAME}" of a variable that is not set
	default:
		a.Mock = values[0]
	}
	if !strings.Contains(a.Mock, "{") {
		if _, err := truth(a.Mock); err != nil {
			return r.Errf("mock: %v", err)
		}
	}
	return r.noBlock("mock")
}

func (a *App) unmarshalToken(r *reader) error {
	args, err := r.args(2, many, "a user and at least one secret"+unsetHint)
	if err != nil {
		return err
	}
	user, secrets := args[0], args[1:]
	switch {
	case !lowerName.MatchString(user):
		return r.Errf("token %q: %s", user, lowerNameRule)
	case a.Tokens[user] != nil:
		return r.Errf("token %s: already specified; give all secrets in one line", user)
	case a.Tokens == nil:
		a.Tokens = make(map[string][]string)
	}
	a.Tokens[user] = secrets
	return nil
}

var tierWords = []string{"rotate", "fallback", "cache"}

func (a *App) unmarshalTier(r *reader) error {
	args, err := r.values(1, 1, "one name; its targets stand in a block, behind rotate and fallback")
	if err != nil {
		return err
	}
	name := args[0]
	switch {
	case !modelName.MatchString(name):
		return r.Errf("tier %q: %s", name, modelNameRule)
	case a.Tiers[name] != nil:
		return r.Errf("tier %s: already specified", name)
	case a.claimed(name) != "":
		return r.Errf("tier %s: the name is that of %s", name, a.claimed(name))
	case a.Tiers == nil:
		a.Tiers = make(map[string]*Tier)
	}
	t := new(Tier)
	block := &reader{Dispenser: r.Dispenser}
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		var list *[]string
		switch r.Val() {
		case "cache":
			if t.Cache, err = block.duration(false); err != nil {
				return err
			}
			continue
		case "rotate":
			list = &t.Rotate
		case "fallback":
			list = &t.Fallback
		default:
			return unknownWord(r.Dispenser, "tier "+name, tierWords)
		}
		targets, err := r.list("targets", "at least one target")
		if err != nil {
			return err
		}
		*list = append(*list, targets...)
	}
	if len(t.Rotate) == 0 {
		return r.Errf("tier %s: no rotate", name)
	}
	a.Tiers[name] = t
	return nil
}

// unknownWord is the error for a word nobody knows.
func unknownWord(d *caddyfile.Dispenser, where string, allowed []string) error {
	allowed = slices.Sorted(slices.Values(allowed))
	return d.Errf("%s: unknown option '%s' (allowed: %s)%s", where, d.Val(), strings.Join(allowed, ", "), belongs(d.Val()))
}

// belongs says where a word does have a meaning.
func belongs(word string) string {
	var places []string
	for _, p := range []struct {
		name  string
		words []string
	}{
		{globalPlace, globalWords}, {handlerPlace, handlerWords}, {"block of a provider", hostWords}, {"block of a tier", tierWords},
		{"block of a tool server", serverWords}, {"block of a pattern", patternWords}, {"block of an agent", agentWords},
		{"block of users", userWords}, {"block of audit", auditWords}, {"block of audit kafka", kafkaWords}, {"block of store redis", redisWords},
	} {
		if slices.Contains(p.words, word) {
			places = append(places, p.name)
		}
	}
	if places == nil {
		return ""
	}
	return "; it belongs into the " + strings.Join(places, " or the ")
}

// unsetHint explains secrets that are not there.
const unsetHint = " (of a {$NAME} that is not set nothing is left; {env.NAME} is read when the configuration is loaded)"

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

// values returns the values behind a word, from least to most of them. A block
// may follow.
func (r *reader) values(least, most int, syntax string) ([]string, error) {
	word := r.Val()
	var values []string
	for r.NextArg() {
		if closing(r.Token()) {
			// To Caddy's parser it ended a block, here it would be a value.
			return nil, r.Errf("%s: a } that ends a block has a line of its own; in quotes it is a value", word)
		}
		values = append(values, r.Val())
	}
	if len(values) < least || len(values) > most {
		return nil, r.Errf("%s: expected %s", word, syntax)
	}
	return values, nil
}

// args returns the values of an option that has no block. None is empty: what
// was left out by mistake, such as "{$NAME}" of a variable that is not set, must
// not become a default.
func (r *reader) args(least, most int, syntax string) ([]string, error) {
	word := r.Val()
	args, err := r.values(least, most, syntax)
	if err != nil {
		return nil, err
	}
	if i := slices.Index(args, ""); i >= 0 {
		return nil, r.Errf("%s: value %d is empty", word, i+1)
	}
	return args, r.noBlock(word)
}

// noBlock refuses a block behind a word that has none.
func (r *reader) noBlock(word string) error {
	if !r.Next() {
		return nil
	}
	next := r.Token()
	r.Prev() // the error belongs to the word's line
	if next.Text == "{" && !next.Quoted() {
		return r.Errf("%s: takes no block", word)
	}
	return nil
}

func closing(t caddyfile.Token) bool { return t.Text == "}" && !t.Quoted() }

// many is the most of values that have no bound.
const many = math.MaxInt

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
	word, syntax := r.Val(), "a duration above zero such as 30s"
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

// maxSize is 1 GiB: offsets in a body are 32 bits.
const maxSize = 1 << 30

// size reads a number of bytes such as 20MiB.
func (r *reader) size() (int64, error) {
	word := r.Val()
	v, err := r.arg("a size such as 20MiB")
	if err != nil {
		return 0, err
	}
	return r.parseSize(word, v, 1, maxSize)
}

func (r *reader) parseSize(word, v string, least, most uint64) (int64, error) {
	n, err := humanize.ParseBytes(v)
	switch {
	case err != nil || n < least && least == 1 || n > most:
		return 0, r.Errf("%s: %q is not a size such as 20MiB, up to %s", word, v, sizeText(most))
	case n < least:
		return 0, r.Errf("%s: %q is less than %s", word, v, sizeText(least))
	}
	return int64(n), nil //nolint:gosec // at most most
}

// sizeText is a size as one is written.
func sizeText(n uint64) string { return strings.ReplaceAll(humanize.IBytes(n), ".0 ", "") }

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*App)(nil)
	_ caddyfile.Unmarshaler = (*Handler)(nil)
	_ caddyfile.Unmarshaler = (*OpenAI)(nil)
	_ caddyfile.Unmarshaler = (*Mock)(nil)
)
