//go:build !unix

package agentruntime

import (
	"testing"
	"time"
)

// cpuTime is wall time where there is no getrusage.
func cpuTime(*testing.B) time.Duration { return time.Duration(time.Now().UnixNano()) }
