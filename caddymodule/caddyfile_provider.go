package caddymodule

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/universal-ai-gateway/magicproxy/provider/openaihttp"
)

// hostWords are the options of every provider; all else belongs to its protocol.
var hostWords = []string{"key", "keys_file", "quarantine", "model", "first_timeout", "idle_timeout", "timeout", "max_concurrent"}

func (a *App) unmarshalProvider(r *reader) error {
	args, err := r.values(1, 2, "a name, and a protocol unless it is a known one: provider <name> [<protocol>]")
	if err != nil {
		return err
	}
	name := args[0]
	switch {
	case !lowerName.MatchString(name):
		return r.Errf("provider %q: %s", name, lowerNameRule)
	case a.Providers[name] != nil:
		return r.Errf("provider %s: already specified", name)
	case a.Providers == nil:
		a.Providers = make(map[string]*Provider)
	}
	protocol := mockName
	if name != mockName {
		protocol = openaiName
	}
	switch {
	case len(args) == 2:
		protocol = args[1]
	case name != mockName && knownProviders[name] == "":
		return r.Errf("provider %s: expected a protocol (%s), as it is none of the known providers (%s)",
			name, strings.Join(guests("ai_gateway.providers"), ", "), knownProviderNames())
	}
	if !slices.Contains(guests("ai_gateway.providers"), protocol) {
		return r.Errf("provider %s: unknown protocol '%s' (known: %s)", name, protocol, strings.Join(guests("ai_gateway.providers"), ", "))
	}
	p := new(Provider)
	if err := p.unmarshalBlock(r, protocol); err != nil {
		return err
	}
	a.Providers[name] = p
	return nil
}

// unmarshalBlock takes the options that are the same for every protocol and
// hands the rest to the protocol's module.
func (p *Provider) unmarshalBlock(r *reader, protocol string) (err error) {
	block := &reader{Dispenser: r.Dispenser}
	p.ProtocolRaw, err = r.guest("ai_gateway.providers", protocol, nil, hostWords, func() error { return p.unmarshalOption(block) })
	return err
}

func (p *Provider) unmarshalOption(r *reader) (err error) {
	switch word := r.Val(); word {
	case "key":
		keys, err := r.args(1, many, "at least one secret"+unsetHint)
		if err != nil {
			return err
		}
		p.Keys = append(p.Keys, keys...)
	case "keys_file":
		p.KeysFile, err = r.arg("a path")
	case "quarantine":
		p.Quarantine, err = r.duration(true)
	case "model":
		args, err := r.args(2, many, "an alias and at least one id")
		if err != nil {
			return err
		}
		alias := args[0]
		if !modelName.MatchString(alias) {
			return r.Errf("model %q: %s", alias, modelNameRule)
		}
		if p.Models[alias] != nil {
			return r.Errf("model %s: already specified", alias)
		}
		if p.Models == nil {
			p.Models = make(map[string][]string)
		}
		p.Models[alias] = args[1:]
	case "first_timeout":
		p.FirstTimeout, err = r.duration(false)
	case "idle_timeout":
		p.IdleTimeout, err = r.duration(false)
	case "timeout":
		p.Timeout, err = r.duration(false)
	case "max_concurrent":
		if err = r.once(); err != nil {
			return err
		}
		args, err := r.args(1, 2, "a number of calls and, if wanted, how many may wait")
		if err != nil {
			return err
		}
		if p.MaxConcurrent, err = r.number(word, args[0], 1); err != nil || len(args) == 1 {
			return err
		}
		p.Queue, err = r.number(word, args[1], 0)
		return err
	}
	return err
}

var openaiWords = []string{"base_url", "header", "drop", "rename", "usage", "transport"}

// UnmarshalCaddyfile sets up the protocol. Syntax:
//
//	base_url  <url>
//	header    <name> <value>
//	drop      <field...>
//	rename    <field> <field>
//	usage     off
//	transport http {
//		...
//	}
func (o *OpenAI) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the protocol's name
	r := &reader{Dispenser: d}
	for d.NextBlock(0) {
		if err := o.unmarshalOption(r); err != nil {
			return err
		}
	}
	return nil
}

func (o *OpenAI) unmarshalOption(r *reader) (err error) {
	switch word := r.Val(); word {
	case "base_url":
		if o.BaseURL, err = r.arg("a URL"); err == nil && !strings.Contains(o.BaseURL, "{") {
			if _, err := openaihttp.ParseBaseURL(o.BaseURL); err != nil {
				return r.Err(err.Error())
			}
		}
	case "header":
		args, err := r.args(2, 2, "a name and a value")
		if err != nil {
			return err
		}
		if o.Header == nil {
			o.Header = make(http.Header)
		}
		o.Header.Add(args[0], args[1])
	case "drop":
		fields, err := r.args(1, many, "at least one field")
		if err != nil {
			return err
		}
		o.Drop = append(o.Drop, fields...)
	case "rename":
		args, err := r.args(2, 2, "a field and its new name")
		if err != nil {
			return err
		}
		if o.Rename[args[0]] != "" {
			return r.Errf("rename %s: already specified", args[0])
		}
		if o.Rename == nil {
			o.Rename = make(map[string]string)
		}
		o.Rename[args[0]] = args[1]
	case "usage":
		if o.Usage, err = r.arg("off"); err == nil && o.Usage != "off" {
			return r.Errf("usage: expected off, not '%s'", o.Usage)
		}
	case "transport":
		if err := r.once(); err != nil {
			return err
		}
		if !r.NextArg() || r.Val() != "http" || r.CountRemainingArgs() > 0 {
			return r.Err("transport: expected http, and its options in a block")
		}
		m, err := caddyfile.UnmarshalModule(r.Dispenser, "http.reverse_proxy.transport.http")
		if err != nil {
			return err
		}
		o.TransportRaw = caddyconfig.JSONModuleObject(m, "protocol", "http", nil)
	default:
		return unknownWord(r.Dispenser, "provider with protocol openai", slices.Concat(hostWords, openaiWords))
	}
	return err
}

var mockWords = []string{"token_delay", "tokens", "answer", "fail", "error_first", "cut", "stall"}

// UnmarshalCaddyfile sets up the mock. Syntax:
//
//	token_delay <duration>|off
//	tokens      <n>
//	answer      <text>
//	fail        <status> [<retry_after>]
//	error_first
//	cut         <n>
//	stall       <n> <duration>
func (m *Mock) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the protocol's name
	r := &reader{Dispenser: d}
	for d.NextBlock(0) {
		if err := m.unmarshalOption(r); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mock) unmarshalOption(r *reader) (err error) {
	word := r.Val()
	switch word {
	case "token_delay":
		m.TokenDelay, err = r.duration(true)
	case "tokens", "cut":
		v, err := r.arg("a number of tokens")
		if err != nil {
			return err
		}
		n, err := r.number(word, v, 1)
		if word == "cut" {
			m.Cut = n
		} else {
			m.Tokens = n
		}
		return err
	case "answer":
		m.Answer, err = r.arg("one text, in quotes")
	case "fail":
		return m.unmarshalFail(r)
	case "error_first":
		if err = r.once(); err == nil {
			m.ErrorFirst = true
			_, err = r.args(0, 0, "no value")
		}
	case "stall":
		if err = r.once(); err != nil {
			return err
		}
		args, err := r.args(2, 2, "a number of tokens and a duration")
		if err != nil {
			return err
		}
		if m.StallAfter, err = r.number(word, args[0], 0); err != nil {
			return err
		}
		m.Stall, err = r.parseDuration(word, args[1], "a duration above zero such as 30s")
		return err
	default:
		return unknownWord(r.Dispenser, "provider with protocol mock", slices.Concat(hostWords, mockWords))
	}
	return err
}

func (m *Mock) unmarshalFail(r *reader) (err error) {
	if err = r.once(); err != nil {
		return err
	}
	args, err := r.args(1, 2, "a status and, if wanted, a duration for Retry-After")
	if err != nil {
		return err
	}
	if m.Fail, err = strconv.Atoi(args[0]); err != nil || m.Fail < 300 || m.Fail > 599 {
		return r.Errf("fail: '%s' is not a status from 300 to 599", args[0])
	}
	if len(args) == 2 {
		m.RetryAfter, err = r.parseDuration("fail", args[1], "a duration above zero such as 30s")
	}
	return err
}
