package caddymodule

import (
	"regexp"
	"slices"
	"strings"
)

// serverWords are the options of a tool server. Those that only a server with a
// URL has, and those that only a process has, are in lists of their own, too.
var (
	serverWords  = slices.Concat([]string{"timeout", "allow", "deny", "idempotent", "pin", "breaker"}, webWords, processWords)
	webWords     = []string{"header", "transport"}
	processWords = []string{"env", "dir"}
)

const stdioName = "stdio"

// envName is what every shell takes as a variable's name.
var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

const envNameRule = "a variable's name has A-Z, a-z, 0-9 and _, and does not begin with a digit"

// unmarshalToolServer reads a tool server. Syntax:
//
//	mcp <name> <url> {
//		header    <name> <value>
//		transport http {
//			...
//		}
//		...
//	}
//	mcp <name> stdio <command> [<argument...>] {
//		env <name> <value>
//		dir <path>
//		...
//	}
//
// Both have:
//
//	timeout    <duration>
//	allow      <glob...>
//	deny       <glob...>
//	idempotent <glob...>
//	pin        off|warn|on
//	breaker    <failures> <window> <open>
func (a *App) unmarshalToolServer(r *reader) error {
	args, err := r.values(2, many, "a name and an address: mcp <name> <url>, or mcp <name> stdio <command> [<argument...>]")
	if err != nil {
		return err
	}
	name, address := args[0], args[1:]
	switch {
	case !lowerName.MatchString(name):
		return r.Errf("mcp %q: %s", name, lowerNameRule)
	case a.MCP[name] != nil:
		return r.Errf("mcp %s: already specified", name)
	case slices.Contains(address, ""):
		return r.Errf("mcp %s: value %d is empty", name, slices.Index(args, "")+1)
	case a.MCP == nil:
		a.MCP = make(map[string]*ToolServer)
	}
	s := new(ToolServer)
	switch {
	case address[0] == stdioName && len(address) == 1:
		return r.Errf("mcp %s: expected a command behind stdio", name)
	case address[0] == stdioName:
		s.Command = address[1:]
	case len(address) > 1:
		return r.Errf("mcp %s: expected a URL and nothing else, or stdio and a command", name)
	default:
		s.URL = address[0]
		if !strings.Contains(s.URL, "{") {
			if _, err := parseServerURL(s.URL); err != nil {
				return r.Errf("mcp %s: url: %v", name, err)
			}
		}
	}
	web, in := new(OpenAI), &reader{Dispenser: r.Dispenser}
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		switch word := r.Val(); {
		case !slices.Contains(webWords, word):
			err = s.unmarshalOption(in, name)
		case s.URL == "":
			err = r.Errf("%s: only for a server with a URL; this one is a process, which has env and dir", word)
		default: // the same as of a provider
			err = web.unmarshalOption(in)
		}
		if err != nil {
			return err
		}
	}
	s.Header, s.TransportRaw = web.Header, web.TransportRaw
	a.MCP[name] = s
	return nil
}

func (s *ToolServer) unmarshalOption(r *reader, name string) (err error) {
	word := r.Val()
	if slices.Contains(processWords, word) && s.Command == nil {
		return r.Errf("%s: only for a process (stdio); this server has a URL", word)
	}
	switch word {
	case "timeout":
		s.Timeout, err = r.duration(false)
	case "allow":
		err = unmarshalToolGlobs(r, &s.Allow)
	case "deny":
		err = unmarshalToolGlobs(r, &s.Deny)
	case "idempotent":
		err = unmarshalToolGlobs(r, &s.Idempotent)
	case "pin":
		s.Pin, err = r.choice(pinValues)
	case "breaker":
		s.Breaker, err = unmarshalBreaker(r)
	case "env":
		return s.unmarshalEnv(r)
	case "dir":
		s.Dir, err = r.arg("a path")
	default:
		return unknownWord(r.Dispenser, "mcp "+name, serverWords)
	}
	return err
}

func unmarshalToolGlobs(r *reader, globs *[]string) error {
	word := r.Val()
	more, err := r.list("tools", "at least one tool, * and ? being wildcards")
	if err != nil {
		return err
	}
	for _, glob := range more {
		if err := checkOwnGlob(glob); err != nil {
			return r.Errf("%s: %v", word, err)
		}
	}
	*globs = append(*globs, more...)
	return nil
}

func unmarshalBreaker(r *reader) (*Breaker, error) {
	word := r.Val()
	if err := r.once(); err != nil {
		return nil, err
	}
	args, err := r.args(3, 3, "a number of failures, the time within which they count, and the time to stay open: such as 3 30s 60s")
	if err != nil {
		return nil, err
	}
	b := new(Breaker)
	if b.Failures, err = r.number(word, args[0], 1); err != nil {
		return nil, err
	}
	const syntax = "a duration above zero such as 30s"
	if b.Window, err = r.parseDuration(word, args[1], syntax); err != nil {
		return nil, err
	}
	b.Open, err = r.parseDuration(word, args[2], syntax)
	return b, err
}

func (s *ToolServer) unmarshalEnv(r *reader) error {
	args, err := r.args(2, 2, "a variable's name and its value"+unsetHint)
	if err != nil {
		return err
	}
	name, value := args[0], args[1]
	switch {
	case !envName.MatchString(name):
		return r.Errf("env %q: %s", name, envNameRule)
	case s.Env[name] != "":
		return r.Errf("env %s: already specified", name)
	case s.Env == nil:
		s.Env = make(map[string]string)
	}
	s.Env[name] = value
	return nil
}
