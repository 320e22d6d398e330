package redis

import (
	"fmt"
	"os"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"
)

// actAs names what this program does when a test starts it again.
const actAs = "STATE_REDIS_ACT_AS"

// acts are what it can do.
var acts = map[string]func() error{}

func TestMain(m *testing.M) {
	if name := os.Getenv(actAs); name != "" {
		if err := acts[name](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goredis.SetLogger(&logging.VoidLogger{}) // it would write a line for each failed dial
	// Once a pool has failed to dial often enough it tries once a second, and sees only
	// then that it has been closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
