package redis

import (
	"fmt"
	"os"
	"testing"

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
	goleak.VerifyTestMain(m)
}
