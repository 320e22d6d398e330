// Package userstest says whether a backend fulfils the contract of users.Store.
// Each backend's tests run all of it.
//
//	func TestStore(t *testing.T) {
//		userstest.Run(t, func(t *testing.T) users.Store { return newBackend(t) })
//	}
package userstest

import (
	"slices"
	"testing"

	"github.com/universal-ai-gateway/magicproxy/users"
)

// Backend makes a store for one scenario. It may share its data with other stores:
// scenarios use names, ids and tokens of their own. It cleans up with t.Cleanup.
type Backend func(t *testing.T) users.Store

// scenario tests one sentence of the contract.
type scenario struct {
	name string
	run  func(t *testing.T, s users.Store)
}

// Run runs all scenarios, one after the other.
func Run(t *testing.T, b Backend) {
	t.Helper()
	for _, c := range slices.Concat(lives, tokens, keys, lists, races, hostile, values) {
		t.Run(c.name, func(t *testing.T) { c.run(t, b(t)) })
	}
}
