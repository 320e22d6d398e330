// Package mongodb keeps users in MongoDB, for several machines that share them.
//
// Two collections hold everything. In users a document is one user: its _id is
// the name, and the user's tokens and keys are inside. In tokens the _id is a
// token's hash and the document says only whose it is. The user's own document is
// the truth: a token works if, and only if, the user it points to lists it. So
// every change is one document's, atomic without a transaction; limits hold
// because the update that adds is the one that counts; and what an interrupted
// call leaves in tokens never works. All reads are by _id.
//
// A write is reported as done when a majority has it in its journal. One whose
// answer was lost is reported as the backend's error, and may have been done
// nevertheless: who tries again may see users.ErrTaken, or users.ErrUnknown after
// a Delete, RemoveToken or ReplaceToken. On a replica set the driver has tried again before, in
// a way that can't do it twice.
//
//	s, err := mongodb.New("mongodb://db1,db2,db3/ai_gateway?replicaSet=rs0", mongodb.Options{})
//	defer s.Close(ctx)
//	user, token, err := s.Find(ctx, hash)
package mongodb

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// How long things may take. A caller's shorter deadline counts instead.
const (
	// selection is how long a call waits for a server to be there.
	selection = 300 * time.Millisecond

	// lookup bounds Find, Get and Tokens.
	lookup = 250 * time.Millisecond

	// change bounds what writes, and List; awayChange while the backend is away:
	// then the answer is known before.
	change     = time.Second
	awayChange = 350 * time.Millisecond

	// dialing bounds a connection's handshake. With heartbeat it is also how long a
	// server that hangs counts as one that is there.
	dialing   = time.Second
	heartbeat = 2 * time.Second

	// closing bounds Close.
	closing = 2 * time.Second
)

// DefaultDatabase is used when neither the options nor the URL name one.
const DefaultDatabase = "ai_gateway"

// Options are the optional parts of a store.
type Options struct {
	// Database is where the collections are. Default: what the URL's path names,
	// else DefaultDatabase.
	Database string

	// Logger hears when the backend goes away and comes back. Default: none.
	Logger *zap.Logger
}

// Store is a users.Store in MongoDB. Make it with New.
type Store struct {
	url      string
	database string
	logger   *zap.Logger
	health   health

	lookup, change time.Duration // the constants, except in tests

	// resolve makes the driver's options. It may ask the DNS: for mongodb+srv.
	resolve func(url string) (*options.ClientOptions, error)

	// ctx ends with Close; work is what runs in the background until then.
	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	conn    *connection // nil until connected
	opening *opening    // nil while nobody is about to connect
}

// connection is a client and the collections in it.
type connection struct {
	client        *mongo.Client
	db            *mongo.Database
	users, tokens *mongo.Collection
}

// opening is a connection being made.
type opening struct {
	done chan struct{} // closed at the end; the rest is set before
	conn *connection
	err  error
}

// New makes a store. It checks the URL, of which no error repeats the user, the
// password or another secret, and dials nothing.
//
// The write concern, the read preference and the time-outs of calls are the
// store's own: what the URL says about them is not used.
func New(url string, o Options) (*Store, error) {
	if err := check(url); err != nil {
		return nil, fmt.Errorf("mongodb url: %w", err)
	}
	database := cmp.Or(o.Database, databaseOf(url), DefaultDatabase)
	if !validDatabase(database) {
		return nil, fmt.Errorf("mongodb: %q can't be a database's name", database)
	}
	s := &Store{url: url, database: database, logger: o.Logger, resolve: resolve, lookup: lookup, change: change}
	if s.logger == nil {
		s.logger = zap.NewNop()
	}
	s.health.init(s.logger)
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Start begins to connect and to prepare the database, in the background. It may
// be called again, or not at all: the first use does the same.
func (s *Store) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.begin()
	return nil
}

// Close ends all background work and closes the connections; calls under way fail.
// It waits for that until ctx ends, or two seconds.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	c := s.conn
	s.mu.Unlock()
	if was {
		return nil
	}
	s.stop()
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	ctx, cancel := context.WithTimeout(ctx, closing)
	defer cancel()
	if c != nil {
		// It says goodbye to the server first, and then closes whatever is open, also
		// when ctx has ended: a server that hangs may take all the time there is.
		_ = c.client.Disconnect(ctx)
	}
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("mongodb: closing: %w", ctx.Err())
	}
}

// begin lets somebody connect, if nobody has or does. s.mu is held, and s is not
// closed.
func (s *Store) begin() {
	if s.conn != nil || s.opening != nil {
		return
	}
	o := &opening{done: make(chan struct{})}
	s.opening = o
	s.work.Go(func() { s.open(o) })
}

// open makes the connection. It fails only if the address can't be looked up:
// connecting doesn't wait for servers.
func (s *Store) open(o *opening) {
	defer close(o.done)
	c, err := s.connect()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening = nil
	switch {
	case s.closed && err == nil:
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = c.client.Disconnect(ended)
		o.err = errClosed
	case err != nil:
		o.err = err
	default:
		o.conn, s.conn = c, c
		s.work.Go(func() { s.tend(c) })
	}
}

func (s *Store) connect() (*connection, error) {
	o, err := s.resolve(s.url)
	if err != nil {
		return nil, err
	}
	journal := true
	o.SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}).
		SetReadPreference(readpref.Primary()).
		SetReadConcern(readconcern.Local()).
		SetServerSelectionTimeout(selection).
		SetTimeout(change).
		SetServerMonitor(&event.ServerMonitor{
			ServerHeartbeatSucceeded: func(*event.ServerHeartbeatSucceededEvent) { s.health.heard(nil) },
			ServerHeartbeatFailed:    func(e *event.ServerHeartbeatFailedEvent) { s.health.heard(e.Failure) },
		})
	if o.ConnectTimeout == nil {
		o.SetConnectTimeout(dialing)
	}
	if o.HeartbeatInterval == nil {
		o.SetHeartbeatInterval(heartbeat)
	}
	client, err := mongo.Connect(o)
	if err != nil {
		return nil, err
	}
	db := client.Database(s.database)
	return &connection{client, db, db.Collection("users"), db.Collection("tokens")}, nil
}

// connected returns the connection, making it if need be.
func (s *Store) connected(ctx context.Context) (*connection, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	if c := s.conn; c != nil {
		s.mu.Unlock()
		return c, nil
	}
	s.begin()
	o := s.opening
	s.mu.Unlock()
	select {
	case <-o.done:
		return o.conn, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// call runs one call of the store against the backend, for at most limit, and
// says what its error means. f returns the driver's errors, or those of package
// users.
func (s *Store) call(ctx context.Context, limit time.Duration, f func(context.Context, *connection) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if limit > awayChange && s.health.away() {
		limit = awayChange
	}
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := s.connected(limited)
	if err == nil {
		err = f(limited, c)
	}
	return s.judge(ctx, err, time.Since(began))
}

// Health implements users.Store. It tells what calls, and the background work,
// have seen last.
func (s *Store) Health() users.Health { return s.health.report() }

// Interface guard
var _ users.Store = (*Store)(nil)
