package caddymodule

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/universal-ai-gateway/magicproxy/state"
)

// What is recorded of refusals that nobody's request stands behind, at most: so many at
// once, and again so many a minute. They cost nothing else, may come from anywhere, and
// as often as anybody likes; what they leave must not push out of the journal what others
// have done. One who is loud leaves room for the rest.
const (
	strangersByAddress = 10
	strangersInAll     = 60
	strangersWindow    = time.Minute
)

// strangers bounds what a journal takes of callers who are not let in, or not any more.
type strangers struct {
	seen    *state.Memory
	skipped atomic.Int64
}

func newStrangers() *strangers { return &strangers{seen: state.NewMemory(state.MemoryOptions{})} }

// admit reports whether a refusal is to be recorded, and how many have not been since the
// last one that was.
func (s *strangers) admit(ctx context.Context, address string) (unrecorded int64, ok bool) {
	got := s.seen.Admit(ctx, state.Admission{Limits: []state.Limit{
		{Key: address, N: strangersByAddress, Window: strangersWindow},
		{Key: "all", N: strangersInAll, Window: strangersWindow},
	}})
	if got.Refused {
		s.skipped.Add(1)
		return 0, false
	}
	return s.skipped.Swap(0), true
}
