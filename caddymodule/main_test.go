package caddymodule

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain looks for goroutines that are left. What Caddy stopped last may take
// longer to end than goleak waits by itself: a server that shuts down looks after its
// connections every half second, and net/http keeps one it has closed for as long.
func TestMain(m *testing.M) {
	// What has no place of its own is not to go into anybody's home.
	data, err := os.MkdirTemp("", "ai_gateway")
	if err != nil {
		panic(err)
	}
	_ = os.Setenv("XDG_DATA_HOME", data)
	_ = os.Setenv("AppData", data)
	code := m.Run()
	_ = os.RemoveAll(data)
	if code == 0 {
		code = leaks()
	}
	os.Exit(code)
}

func leaks() (code int) {
	ours := []goleak.Option{
		// Caddy's own: the admin endpoint outlives the configuration, and a lock
		// file's keeper notices that its file is gone when it next looks.
		goleak.IgnoreAnyFunction("github.com/caddyserver/caddy/v2.replaceLocalAdminServer.func2"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := goleak.Find(ours...)
		switch {
		case err == nil:
			return 0
		case time.Now().After(deadline):
			fmt.Fprintln(os.Stderr, "goleak:", err)
			return 1
		}
	}
}
