package mongodb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// kind is the backend's name, for operators.
const kind = "mongodb"

// errClosed is what calls get after Close.
var errClosed = errors.New("mongodb: closed")

// brief is how long a call must have waited for its caller's deadline to say
// something about the backend.
const brief = 100 * time.Millisecond

// health is what is known of the backend.
type health struct {
	logger *zap.Logger

	// fell gets a value when the backend goes away.
	fell chan struct{}

	mu      sync.Mutex
	down    bool
	since   time.Time
	said    string // why it is down
	network string // why the driver reaches no server, empty while it does
}

func (h *health) init(logger *zap.Logger) {
	h.logger = logger
	h.fell = make(chan struct{}, 1)
}

func (h *health) report() users.Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	return users.Health{Backend: kind, Up: !h.down, Since: h.since, Error: h.said}
}

func (h *health) away() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

// heard takes what the driver's own monitor has to say. Its connections know no
// password. It is not a use: a server that it reaches may still refuse us.
func (h *health) heard(failure error) {
	text := ""
	if failure != nil {
		// Of the driver's chain of errors the innermost is the one to read.
		text = failure.Error()
		if op, ok := errors.AsType[*net.OpError](failure); ok {
			text = op.Error()
		}
		text = text[:min(len(text), 200)]
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.network = text
}

// reached is the driver's reason for not reaching a server, in parentheses.
func (h *health) reached() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.network == "" {
		return ""
	}
	return " (" + h.network + ")"
}

// answered notes that the backend works.
func (h *health) answered() {
	h.mu.Lock()
	was := h.down
	if h.since.IsZero() || was {
		h.since = time.Now()
	}
	h.down, h.said = false, ""
	h.mu.Unlock()
	if was {
		h.logger.Info("mongodb is back")
	}
}

// failed notes that it does not.
func (h *health) failed(err error) {
	h.mu.Lock()
	was := h.down
	if !was {
		h.since = time.Now()
	}
	h.down, h.said = true, err.Error()
	h.mu.Unlock()
	if was {
		return
	}
	h.logger.Warn("mongodb is away", zap.Error(err))
	select {
	case h.fell <- struct{}{}:
	default:
	}
}

// trouble is an error of the backend's. Its text is our own: the server's may
// repeat a command, and the driver's an address with its password.
type trouble struct {
	text string
	err  error // a context's, or nil
}

func (t *trouble) Error() string { return kind + ": " + t.text }
func (t *trouble) Unwrap() error { return t.err }

// ours are errors that the backend has nothing to do with, or that say it works.
var ours = []error{users.ErrTaken, users.ErrUnknown, users.ErrTooMany, errMalformed}

// judge says what a call's error means, and what the call says about the backend.
// ctx is the caller's.
func (s *Store) judge(ctx context.Context, err error, took time.Duration) error {
	if err == nil {
		s.health.answered()
		return nil
	}
	for _, e := range ours {
		if errors.Is(err, e) {
			s.health.answered()
			return err
		}
	}
	switch {
	case errors.Is(err, errClosed), errors.Is(err, mongo.ErrClientDisconnected):
		return errClosed
	case s.ctx.Err() != nil: // Close cut it off
		return errClosed
	case errors.Is(ctx.Err(), context.Canceled), ctx.Err() != nil && took < brief:
		return ctx.Err()
	case refusesValue(err):
		s.health.answered()
		return &trouble{text: "the value was refused" + codes(err)}
	}
	t := s.describe(err)
	if took >= brief || !mongo.IsTimeout(err) { // else the caller had no time to give
		s.health.failed(t)
	}
	return t
}

// describe puts an error of the driver's in words without secrets.
func (s *Store) describe(err error) *trouble {
	dns, lookup := errors.AsType[*net.DNSError](err)
	switch {
	case mongo.IsTimeout(err):
		return &trouble{"no answer in time" + s.health.reached(), context.DeadlineExceeded}
	case lookup:
		return &trouble{text: "looking up the servers: " + dns.Error()}
	case hasCode(err, 18):
		return &trouble{text: "the user or the password is wrong"}
	case hasCode(err, 13):
		return &trouble{text: fmt.Sprintf("the user may not use database %s: it needs the role readWrite", s.database)}
	case mongo.IsNetworkError(err):
		return &trouble{text: "the connection broke" + s.health.reached()}
	case len(mongo.ErrorCodes(err)) > 0:
		return &trouble{text: "the server refused" + codes(err)}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return &trouble{text: op.Error()}
	}
	return &trouble{text: fmt.Sprintf("failed (%T)", err) + s.health.reached()}
}

// refusesValue reports whether the server, which works, can't keep what it was
// given: it does not fit the collection's rules (121), or is too large.
func refusesValue(err error) bool {
	return hasCode(err, 121) || hasCode(err, 10334) || hasCode(err, 17419)
}

func hasCode(err error, code int) bool {
	e, ok := errors.AsType[mongo.ServerError](err)
	return ok && e.HasErrorCode(code)
}

// codes are the server's numbers for an error: its text may repeat what it was sent.
func codes(err error) string {
	name := ""
	if e, ok := errors.AsType[mongo.CommandError](err); ok && e.Name != "" {
		name = " " + e.Name
	}
	return fmt.Sprintf(":%s %d", name, mongo.ErrorCodes(err))
}
