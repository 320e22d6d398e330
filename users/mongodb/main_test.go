package mongodb

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
	"github.com/universal-ai-gateway/magicproxy/users"
	"github.com/universal-ai-gateway/magicproxy/users/userstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	s := newStore(t, backendtest.Shared(t, "mongodb"))
	userstest.Run(t, func(*testing.T) users.Store { return s })
}
