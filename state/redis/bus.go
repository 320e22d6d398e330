package redis

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// bus is a state.Bus over one channel of Redis. Subscribers of this process hear of
// its own messages without Redis.
type bus struct {
	s     *Store
	local state.LocalBus
	me    []byte // begins this process's messages
	once  sync.Once
}

func newBus(s *Store) *bus { return &bus{s: s, me: []byte(rand.Text())} }

func (b *bus) channel() string { return b.s.prefix + "news" }

// Publish implements state.Bus.
func (b *bus) Publish(topic string, message []byte) {
	b.local.Publish(topic, message)
	b.s.begin()
	line := bytes.Join([][]byte{b.me, []byte(topic), message}, []byte{' '})
	b.s.outbox.put(func(ctx context.Context, p goredis.Pipeliner) { p.Publish(ctx, b.channel(), line) })
}

// Subscribe implements state.Bus.
func (b *bus) Subscribe(topic string, f func([]byte)) (cancel func()) {
	b.s.begin()
	b.once.Do(func() { b.s.start(b.listen) })
	return b.local.Subscribe(topic, f)
}

const (
	// silence is how long nothing may come before the connection is tried.
	silence = 5 * time.Second

	minAgain, maxAgain = 50 * time.Millisecond, time.Second
)

// listen hears the other processes until the store is closed. The client connects
// anew by itself when it is asked for the next message.
func (b *bus) listen() {
	ctx := b.s.ctx
	sub := b.s.steady.Subscribe(ctx, b.channel())
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer stop()
	defer func() { _ = sub.Close() }()
	again := minAgain
	asked := false // whether it is still there
	for ctx.Err() == nil {
		m, err := sub.ReceiveTimeout(ctx, silence)
		if err != nil {
			var late net.Error
			if errors.As(err, &late) && late.Timeout() && !asked && ctx.Err() == nil && sub.Ping(ctx) == nil {
				asked = true
				continue
			}
			asked = false
			select {
			case <-ctx.Done():
			case <-time.After(again):
			}
			again = min(2*again, maxAgain)
			continue
		}
		again, asked = minAgain, false
		switch m := m.(type) {
		case *goredis.Subscription:
			b.local.Missed() // whatever was said before this, the first time as well
		case *goredis.Message:
			b.hear([]byte(m.Payload))
		}
	}
}

func (b *bus) hear(line []byte) {
	from, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok || bytes.Equal(from, b.me) {
		return
	}
	topic, message, ok := bytes.Cut(rest, []byte{' '})
	if ok {
		b.local.Publish(string(topic), message)
	}
}
