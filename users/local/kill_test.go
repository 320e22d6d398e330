package local_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/universal-ai-gateway/magicproxy/users"
	"github.com/universal-ai-gateway/magicproxy/users/local"
)

// killedPath tells a second process of this test which file to write.
const killedPath = "USERS_LOCAL_KILLED_PATH"

// TestKilled kills a process that creates users: each one that it had reported is
// there, and the file opens at once.
func TestKilled(t *testing.T) {
	if path := os.Getenv(killedPath); path != "" {
		untilKilled(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "users.db")
	reported := 0
	for round := range 3 {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKilled$", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), killedPath+"="+path)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		names := make(map[string]users.Hash)
		for lines.Scan() {
			var name, hash string
			if _, err := fmt.Sscan(lines.Text(), &name, &hash); err != nil {
				break // cut by the end
			}
			var h users.Hash
			if n, err := hex.Decode(h[:], []byte(hash)); err != nil || n != len(h) {
				break
			}
			names[name] = h
			if len(names) == 50*(round+1) {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait() // it was killed
		stop()
		if len(names) < 50 {
			t.Fatalf("%d users before the end", len(names))
		}
		s := local.New(path)
		for name, h := range names {
			if u, _, err := s.Find(t.Context(), h); err != nil || u.Name != name {
				t.Errorf("%s: %+v, %v", name, u, err)
			}
		}
		reported += len(names)
		closeStore(t, s)
	}
	t.Logf("%d users reported, all there", reported)
}

// untilKilled creates users and says so.
func untilKilled(t *testing.T, path string) {
	s := local.New(path)
	out := bufio.NewWriter(os.Stdout)
	for {
		id := users.NewUserID()
		u, k := newUser(id)
		if err := s.Create(t.Context(), u, k); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(out, "%s %x\n", u.Name, k.Hash)
		if out.Flush() != nil {
			return // who has started this is gone
		}
	}
}
