package backendtest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// given are the ports that FreePort has named.
var given sync.Map

// FreePort returns a port of this machine that nobody listens on, and that this process has not been given before: Caddy's
// listeners share ports, so two who think it theirs would answer in turns. It is below those that the system gives to outgoing
// connections, so that a server can be started again at the same place.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10000 + rand.IntN(20000) //nolint:gosec // not a secret
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = ln.Close()
		if _, twice := given.LoadOrStore(port, true); !twice {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}
