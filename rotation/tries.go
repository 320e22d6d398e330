package rotation

import (
	"slices"

	"github.com/universal-ai-gateway/magicproxy/provider"
)

// What one answer may spend (contract F3). Keys and targets have budgets of their
// own, so that a provider with many exhausted keys does not use up what is meant
// for the targets after it.
const (
	keyBudget   = 16
	retryBudget = 8
)

// Tries is what has been tried for one answer. A call makes its own; who goes on
// after a stream that broke off, as an agent may as long as only reasoning has
// been seen, gives the same one to both calls. The zero value is ready. It belongs
// to one goroutine.
type Tries struct {
	tried   []pair      // never used again
	spent   []*keyState // refused as keys: no use for other targets either
	failed  []*targetState
	keys    int // of keyBudget
	retries int // of retryBudget

	marked bool // a 5xx has been held against a target
	causes causes
	last   *provider.Error
}

// pair is a key used for a target.
type pair struct {
	key    *keyState
	target *targetState
}

// Fail notes that a target's answer, which had begun, was of no use.
func (t *Tries) Fail(target *Target, err *provider.Error) {
	t.last = err
	t.causes.add(err.Kind)
	t.give(target)
}

// give gives a target up.
func (t *Tries) give(target *Target) {
	t.retries++
	t.failed = append(t.failed, target.state)
}

// over reports whether a target is of no more use, or everything is.
func (t *Tries) over(target *Target) bool {
	return t.retries >= retryBudget || slices.Contains(t.failed, target.state)
}

// excluded reports whether the key has been used for the target, or found to be of
// no use.
func (t *Tries) excluded(k *keyState, target *targetState) bool {
	return slices.Contains(t.tried, pair{k, target}) || slices.Contains(t.spent, k)
}
