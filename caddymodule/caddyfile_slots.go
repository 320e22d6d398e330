package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// one reads the only value behind the name of a slot's guest.
func (r *reader) one(where, syntax string) (string, error) {
	values, err := r.values(1, 1, syntax)
	if err != nil || values[0] == "" {
		return "", r.Errf("%s: expected %s", where, syntax)
	}
	return values[0], nil
}

// unmarshalStore reads the whole of
//
//	store <backend> [<address>] {
//		...
//	}
func (a *App) unmarshalStore(r *reader) error {
	if a.StoreRaw != nil {
		return r.Err("store: already specified")
	}
	name, args, err := r.slot(storeSpace)
	if err != nil {
		return err
	}
	a.StoreRaw, err = r.guest(storeSpace, name, args, nil, nil)
	return err
}

var userWords = []string{"encryption_key", "cache_ttl"}

// unmarshalUsers reads the whole of
//
//	users <backend> [<address>] {
//		encryption_key <secret...>
//		cache_ttl      <duration>
//		...
//	}
func (a *App) unmarshalUsers(r *reader) error {
	if a.Users != nil {
		return r.Err("users: already specified")
	}
	name, args, err := r.slot(usersSpace)
	if err != nil {
		return err
	}
	u, block := new(Users), &reader{Dispenser: r.Dispenser}
	u.BackendRaw, err = r.guest(usersSpace, name, args, userWords, func() (err error) {
		switch block.Val() {
		case "encryption_key":
			if err = block.once(); err == nil {
				u.EncryptionKeys, err = block.args(1, many, "a secret of 32 bytes in base64 or hex, and former ones if there are"+unsetHint)
			}
		case "cache_ttl":
			u.CacheTTL, err = block.duration(false)
		}
		return err
	})
	if err == nil {
		a.Users = u
	}
	return err
}

var auditWords = []string{"content", "chunks", "journal"}

// unmarshalAudit reads the whole of
//
//	audit off|<sink> [<address...>] {
//		content on|off
//		chunks  on|off
//		journal <dir> [<max size>]
//		...
//	}
func (a *App) unmarshalAudit(r *reader) error {
	if a.Audit != nil {
		return r.Err("audit: already specified")
	}
	name, args, err := r.slot(auditSpace, auditOff)
	if err != nil {
		return err
	}
	c, block := new(Audit), &reader{Dispenser: r.Dispenser}
	if name == auditOff {
		if len(args) > 0 {
			return r.Err("audit off: takes no value")
		}
		a.Audit = c
		return r.noBlock("audit off")
	}
	c.SinkRaw, err = r.guest(auditSpace, name, args, auditWords, func() error { return c.unmarshalOption(block) })
	if err == nil {
		a.Audit = c
	}
	return err
}

func (c *Audit) unmarshalOption(r *reader) error {
	switch word := r.Val(); word {
	case "content", "chunks":
		v, err := r.choice([]string{"on", "off"})
		if word == "content" {
			c.Content = v == "on"
		} else {
			c.Chunks = v == "on"
		}
		return err
	case "journal":
		if err := r.once(); err != nil {
			return err
		}
		args, err := r.args(1, 2, "a directory and, if wanted, a size such as 1GiB")
		if err != nil {
			return err
		}
		if c.Journal = args[0]; len(args) == 2 {
			c.MaxBytes, err = r.parseSize(word, args[1], minJournal, maxJournal)
		}
		return err
	}
	return nil
}

// UnmarshalCaddyfile sets up the sink. Syntax:
//
//	file [<dir>]
func (f *AuditFile) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // file
	if d.NextArg() {
		if f.Dir = d.Val(); f.Dir == "" || d.NextArg() {
			return d.Err("audit file: expected one directory, or none")
		}
	}
	for d.NextBlock(0) {
		return unknownWord(d, "audit file", auditWords)
	}
	return nil
}

var kafkaWords = []string{"topic", "tls", "sasl"}

// UnmarshalCaddyfile sets up the sink. Syntax:
//
//	kafka <broker...> {
//		topic <name>
//		tls
//		sasl  plain|scram-sha-256|scram-sha-512 <user> <secret>
//	}
func (k *AuditKafka) UnmarshalCaddyfile(d *caddyfile.Dispenser) (err error) {
	d.Next() // kafka
	r := &reader{Dispenser: d}
	if k.Brokers, err = r.values(1, many, "at least one broker such as localhost:9092"+unsetHint); err != nil {
		return err
	}
	for d.NextBlock(0) {
		switch d.Val() {
		case "topic":
			k.Topic, err = r.arg("a topic")
		case "tls":
			if err = r.once(); err == nil {
				k.TLS = true
				_, err = r.args(0, 0, "no value")
			}
		case "sasl":
			if err = r.once(); err != nil {
				return err
			}
			var args []string
			if args, err = r.args(3, 3, "a mechanism ("+alternatives(saslMechanisms)+"), a user and a secret"+unsetHint); err != nil {
				return err
			}
			k.SASL = &SASL{Mechanism: args[0], User: args[1], Secret: args[2]}
			if err = checkChoice("sasl", args[0], saslMechanisms); err != nil {
				return d.Err(err.Error())
			}
		default:
			err = unknownWord(d, "audit kafka", append(auditWords, kafkaWords...))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
