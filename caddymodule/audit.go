package caddymodule

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/audit/kafka"
)

func init() {
	caddy.RegisterModule(new(AuditFile))
	caddy.RegisterModule(new(AuditKafka))
}

const (
	auditSpace = "ai_gateway.audit"
	auditOff   = "off"
	fileName   = "file"

	minJournal = 1 << 20
	maxJournal = 1 << 50
)

// Audit says what is recorded, and where it goes.
type Audit struct {
	// Content records what is asked and answered, tools included. Default: only that,
	// when and by whom.
	Content bool `json:"content,omitempty"`

	// Chunks records the pieces of answers as they come, beside the whole.
	Chunks bool `json:"chunks,omitempty"`

	// Journal is the directory in which events wait for the sink. No other process
	// may use it. Default: in Caddy's data directory ai_gateway/audit for files, and
	// ai_gateway/audit_journal for what is shipped.
	Journal string `json:"journal,omitempty"`

	// MaxBytes bounds the journal. Default 1 GiB. Beyond it events are dropped, and
	// counted: the new ones if there is a sink that has not taken the old ones yet,
	// else the oldest.
	MaxBytes int64 `json:"max_bytes,omitempty"`

	// SinkRaw is where events go. Without one nothing is recorded.
	SinkRaw json.RawMessage `json:"sink,omitempty" caddy:"namespace=ai_gateway.audit inline_key=name"`
}

// AuditSink is a guest module in the namespace ai_gateway.audit. Its methods are
// called after Provision.
type AuditSink interface {
	caddy.Module

	// Identity tells senders apart: one with the same goes on over reloads. It is not
	// shown anywhere.
	Identity() string

	// Directory is where the journal is, empty for the host's place.
	Directory() string

	// Sender makes what ships the journal; nil if the journal itself is the record.
	// It dials nothing. Whoever takes it closes it.
	Sender(logger *zap.Logger) (audit.Sender, error)
}

// AuditFile keeps events in files of this machine, one JSON object a line.
type AuditFile struct {
	// Dir is their directory. Default: that of the journal.
	Dir string `json:"dir,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*AuditFile) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: auditSpace + "." + fileName, New: func() caddy.Module { return new(AuditFile) }}
}

// Identity implements AuditSink.
func (*AuditFile) Identity() string { return "file" }

// Directory implements AuditSink.
func (f *AuditFile) Directory() string { return f.Dir }

// Sender implements AuditSink.
func (*AuditFile) Sender(*zap.Logger) (audit.Sender, error) { return nil, nil } //nolint:nilnil // says what it should

// AuditKafka ships events to a topic of Apache Kafka.
type AuditKafka struct {
	// Brokers are some of the cluster's addresses, host:port each. A placeholder may
	// stand for one or, separated by commas, for several.
	Brokers []string `json:"brokers"`

	// Topic must exist. Default agent_audit_events. A placeholder may stand for it.
	Topic string `json:"topic,omitempty"`

	// TLS encrypts the connections; the system's roots are trusted.
	TLS bool `json:"tls,omitempty"`

	// SASL says who we are.
	SASL *SASL `json:"sasl,omitempty"`

	options kafka.Options
}

// SASL is how a client proves who it is.
type SASL struct {
	// Mechanism is plain, scram-sha-256 or scram-sha-512.
	Mechanism string `json:"mechanism"`
	User      string `json:"user"`

	// Secret is the password. Use a placeholder.
	Secret string `json:"secret"`
}

var saslMechanisms = []string{"plain", "scram-sha-256", "scram-sha-512"}

// CaddyModule returns the Caddy module information.
func (*AuditKafka) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: auditSpace + ".kafka", New: func() caddy.Module { return new(AuditKafka) }}
}

// Provision resolves addresses and secrets.
func (k *AuditKafka) Provision(ctx caddy.Context) error {
	repl := caddy.NewReplacer()
	for _, b := range k.Brokers {
		v, err := resolve(repl, b)
		if err != nil {
			return fmt.Errorf("broker: %w", err)
		}
		list, err := kafka.ParseBrokers(v)
		if err != nil {
			return fmt.Errorf("broker %s: %w", b, err)
		}
		k.options.Brokers = append(k.options.Brokers, list...)
	}
	if len(k.options.Brokers) == 0 {
		return errors.New("no broker")
	}
	if k.Topic != "" {
		topic, err := resolve(repl, k.Topic)
		if err != nil {
			return fmt.Errorf("topic: %w", err)
		}
		k.options.Topic = topic
	}
	if k.TLS {
		k.options.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if s := k.SASL; s != nil {
		if err := checkChoice("sasl", s.Mechanism, saslMechanisms); err != nil {
			return err
		}
		secret, err := resolve(repl, s.Secret)
		if err != nil {
			return fmt.Errorf("sasl: %w", err)
		}
		warnLiteral(ctx.Logger(), "audit kafka: sasl", s.Secret)
		user, err := resolve(repl, s.User)
		if err != nil {
			return fmt.Errorf("sasl: user: %w", err)
		}
		k.options.Mechanism, k.options.User, k.options.Password = s.Mechanism, user, secret
	}
	return k.options.Check()
}

// Identity implements AuditSink.
func (k *AuditKafka) Identity() string {
	o := k.options
	return "kafka" + fingerprint(slices.Concat(o.Brokers, []string{o.Topic, strconv.FormatBool(k.TLS), o.Mechanism, o.User, o.Password})...)
}

// Directory implements AuditSink.
func (*AuditKafka) Directory() string { return "" }

// Sender implements AuditSink.
func (k *AuditKafka) Sender(logger *zap.Logger) (audit.Sender, error) {
	o := k.options
	o.Logger = logger
	return kafka.New(o)
}

// journals are those that are open, by their directories.
var journals = caddy.NewUsagePool()

// journal is a directory's log. It is opened when it is first needed: Provision must
// not write, and Caddy starts apps in any order.
type journal struct {
	dir       string
	logger    *zap.Logger
	strangers *strangers

	mu     sync.Mutex
	log    *audit.Log
	claims []*claim // of the configurations that have opened it, the latest last
	sender string   // what the sender in use was made from
	shut   bool
}

// Destruct implements caddy.Destructor.
func (j *journal) Destruct() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.shut = true
	if n := j.strangers.skipped.Load(); n > 0 {
		j.logger.Info("refusals that left no event, for there were too many, since the last one that did", zap.Int64("refusals", n))
	}
	if j.log != nil {
		closings.start(j.dir, j.logger, j.log.Close)
	}
	return nil
}

// flushJournals waits until all that was recorded in journals that are open has gone
// where it is to go, or until ctx ends.
func flushJournals(ctx context.Context) error {
	var all []*journal
	journals.Range(func(_, value any) bool {
		all = append(all, value.(*journal))
		return true
	})
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, j := range all {
		wg.Go(func() {
			j.mu.Lock()
			log := j.log
			j.mu.Unlock()
			errs[i] = log.Flush(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// claim is a configuration's use of a journal.
type claim struct {
	maxBytes int64
	sink     AuditSink
}

// open opens the journal if nobody has, and has it do as c says from now on.
func (j *journal) open(c *claim) (*audit.Log, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.shut:
		return nil, errors.New("the journal is being closed")
	case j.log == nil:
		closings.wait(j.dir)
		log, err := audit.Open(j.dir, audit.Options{MaxBytes: c.maxBytes, Logger: j.logger})
		if err != nil {
			return nil, err
		}
		j.log = log
	}
	if err := j.heed(c); err != nil {
		return nil, err
	}
	j.claims = append(j.claims, c)
	return j.log, nil
}

// heed has the journal do as c says. mu is held.
func (j *journal) heed(c *claim) error {
	if id := c.sink.Identity(); id != j.sender {
		s, err := c.sink.Sender(j.logger)
		if err != nil {
			return err // nothing has changed for who goes on
		}
		j.log.Use(s)
		j.sender = id
	}
	j.log.Bound(c.maxBytes)
	return nil
}

// drop ends a claim. The one before holds again, if this was the last: a configuration
// may be refused after it has begun, and the one that goes on is to ship to its own sink.
func (j *journal) drop(c *claim) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.Index(j.claims, c)
	if i < 0 {
		return
	}
	last := i == len(j.claims)-1
	if j.claims = slices.Delete(j.claims, i, i+1); last && i > 0 {
		if err := j.heed(j.claims[i-1]); err != nil {
			j.logger.Error("the former sink cannot be used", zap.Error(err))
		}
	}
}

// recorder is what a configuration records with.
type recorder struct {
	sink, dir       string
	content, chunks bool
	strangers       *strangers
	open            func() (*audit.Log, error)
}

func (a *App) provisionAudit(ctx caddy.Context, repl *caddy.Replacer) error {
	c := a.Audit
	if c == nil || c.SinkRaw == nil {
		return nil
	}
	m, err := ctx.LoadModule(c, "SinkRaw")
	if err != nil {
		return err
	}
	sink, ok := m.(AuditSink)
	if !ok {
		return fmt.Errorf("module %T is no sink", m)
	}
	dir := sink.Directory()
	switch {
	case dir != "" && c.Journal != "":
		return errors.New("journal: the sink has a directory of its own")
	case dir == "":
		dir = c.Journal
	}
	if dir, err = repl.ReplaceOrErr(dir, true, true); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if dir == "" {
		// What waits for a sink is not to be mixed with files that stay: it would be
		// shipped, and removed.
		name := "audit"
		if sink.CaddyModule().ID.Name() != fileName {
			name = "audit_journal"
		}
		dir = filepath.Join(caddy.AppDataDir(), "ai_gateway", name)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if c.MaxBytes != 0 && (c.MaxBytes < minJournal || c.MaxBytes > maxJournal) {
		return fmt.Errorf("journal: a size of %d bytes is not between 1MiB and 1PiB", c.MaxBytes)
	}
	v, _ := journals.LoadOrStore(dir, &journal{dir: dir, logger: caddy.Log().Named("ai_gateway.audit"), strangers: newStrangers()})
	j, mine := v.(*journal), &claim{c.MaxBytes, sink}
	a.release = append(a.release, func() error {
		j.drop(mine)
		_, err := journals.Delete(dir)
		return err
	})
	a.recorder = &recorder{
		sink: sink.CaddyModule().ID.Name(), dir: dir, content: c.Content, chunks: c.Chunks, strangers: j.strangers,
		open: sync.OnceValues(func() (*audit.Log, error) { return j.open(mine) }),
	}
	return nil
}

// log returns the log; nil if nothing is recorded, or nothing can be: Start says why.
func (c *recorder) log() *audit.Log {
	if c == nil {
		return nil
	}
	l, _ := c.open()
	return l
}

// Interface guards
var (
	_ AuditSink             = (*AuditFile)(nil)
	_ AuditSink             = (*AuditKafka)(nil)
	_ caddy.Provisioner     = (*AuditKafka)(nil)
	_ caddyfile.Unmarshaler = (*AuditFile)(nil)
	_ caddyfile.Unmarshaler = (*AuditKafka)(nil)
	_ caddy.Destructor      = (*journal)(nil)
)
