// Package kafka ships audit events to a topic of Apache Kafka, and reads them back.
//
// A Sender writes what the journal hands it and waits until all replicas in sync
// have it. It tries once: who calls it tries again, with what was not taken, for as
// long as it takes. Nothing is dialled before the first call, and no call fails
// because of one that failed before it (fault K3).
//
//	s, err := kafka.New(kafka.Options{Brokers: []string{"kafka:9092"}})
//	results := s.Send(ctx, batch)
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"go.uber.org/zap"
)

// DefaultTopic is the topic of events unless Options name another (contract U1).
const DefaultTopic = "agent_audit_events"

const (
	dialTimeout = 5 * time.Second

	// metadataTTL is how long a topic made a moment ago may look unknown, and how
	// long writes may go to a leader that is none any more.
	metadataTTL = 2 * time.Second

	clientID = "ai-gateway"
)

// Options say which topic, and how to get there.
type Options struct {
	// Brokers are some of the cluster's addresses, host:port each.
	Brokers []string

	// Topic must exist: it is not created. Default DefaultTopic.
	Topic string

	// TLS encrypts the connections; nil for none.
	TLS *tls.Config

	// Mechanism is how to say who we are: plain, scram-sha-256, scram-sha-512, or
	// empty for not at all. A password goes out in plain only over TLS or to this
	// machine and private networks.
	Mechanism, User, Password string

	// Logger hears what needs an operator. Default: nobody.
	Logger *zap.Logger
}

// ParseBrokers reads addresses as they stand in one variable: host:port, separated
// by commas.
func ParseBrokers(s string) ([]string, error) {
	var brokers []string
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if err := checkBroker(part); err != nil {
			return nil, err
		}
		brokers = append(brokers, part)
	}
	return brokers, nil
}

func checkBroker(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return errors.New("not host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("the port is not between 1 and 65535")
	}
	if strings.ContainsAny(host, "/@ ") {
		return errors.New("not host:port")
	}
	return nil
}

// checkTopic refuses what no broker takes.
func checkTopic(s string) error {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	if s == "" || len(s) > 249 || s == "." || s == ".." || strings.ContainsFunc(s, func(r rune) bool { return !legal(r) }) {
		return fmt.Errorf("topic %q: has 1 to 249 of the characters a-z A-Z 0-9 . _ -", s)
	}
	return nil
}

// Check reports what New would refuse. It dials nothing.
func (o Options) Check() error {
	_, _, err := o.client()
	return err
}

// complete fills in defaults and refuses what cannot be meant.
func (o *Options) complete() error {
	if len(o.Brokers) == 0 {
		return errors.New("no broker")
	}
	for i, b := range o.Brokers {
		if err := checkBroker(b); err != nil {
			return fmt.Errorf("broker %d: %w", i+1, err)
		}
	}
	if o.Topic == "" {
		o.Topic = DefaultTopic
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return checkTopic(o.Topic)
}

func (o *Options) sasl() (sasl.Mechanism, error) {
	var algorithm scram.Algorithm
	switch o.Mechanism {
	case "":
		if o.User != "" || o.Password != "" {
			return nil, errors.New("sasl: a user without a mechanism")
		}
		return nil, nil //nolint:nilnil // no mechanism is what was asked for
	case "plain":
	case "scram-sha-256":
		algorithm = scram.SHA256
	case "scram-sha-512":
		algorithm = scram.SHA512
	default:
		return nil, fmt.Errorf("sasl: %q is not plain, scram-sha-256 or scram-sha-512", o.Mechanism)
	}
	if o.User == "" || o.Password == "" {
		return nil, errors.New("sasl: needs a user and a password")
	}
	if algorithm == nil {
		return plain.Mechanism{Username: o.User, Password: o.Password}, nil
	}
	m, err := scram.Mechanism(algorithm, o.User, o.Password)
	if err != nil {
		return nil, errors.New("sasl: the user or password has characters that SCRAM does not know") // err may quote them
	}
	return m, nil
}

// client is what both directions are made of.
func (o *Options) client() (*kafkago.Client, *kafkago.Transport, error) {
	if err := o.complete(); err != nil {
		return nil, nil, err
	}
	mechanism, err := o.sasl()
	if err != nil {
		return nil, nil, err
	}
	t := &kafkago.Transport{
		Dial:           o.dialer().dial,
		DialTimeout:    dialTimeout,
		MetadataTTL:    metadataTTL,
		MetadataTopics: []string{o.Topic},
		ClientID:       clientID,
		TLS:            o.TLS,
		SASL:           mechanism,
	}
	return &kafkago.Client{Addr: kafkago.TCP(o.Brokers...), Transport: t}, t, nil
}

func (o *Options) dialer() dialer { return dialer{private: o.Mechanism == "plain" && o.TLS == nil} }

// dialer connects to brokers.
type dialer struct {
	// private refuses addresses beyond this machine and private networks. Brokers
	// say which addresses they have, so it is each connection that is looked at.
	private bool
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if d.private && exposed(c.RemoteAddr()) {
		c.Close()
		return nil, fmt.Errorf("broker %s: a password needs tls, or a mechanism that does not send it (scram-sha-512)", address)
	}
	return bounded{c}, nil
}

func exposed(a net.Addr) bool {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return true
	}
	ip := p.Addr().Unmap()
	return !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast()
}

// bounded is a connection that never waits for ever. Requests set deadlines of their
// own; the library takes its deadline away before the exchange of passwords, and a
// broker that hangs in it would hold the connection until the end of the process.
type bounded struct{ net.Conn }

func (c bounded) SetDeadline(t time.Time) error {
	if t.IsZero() {
		t = time.Now().Add(2 * dialTimeout)
	}
	return c.Conn.SetDeadline(t)
}
