package redis

import (
	"errors"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// answered reports whether an error is an answer: Redis is there.
func answered(err error) bool {
	var e goredis.Error
	return errors.Is(err, goredis.Nil) || errors.As(err, &e)
}

// refuses reports whether an answer means that Redis can serve nobody now: it is as
// good as away.
func refuses(err error) bool {
	for _, is := range []func(error) bool{
		goredis.IsAuthError, goredis.IsPermissionError, goredis.IsMaxClientsError, goredis.IsLoadingError,
		goredis.IsReadOnlyError, goredis.IsMasterDownError, goredis.IsClusterDownError, goredis.IsOOMError,
	} {
		if is(err) {
			return true
		}
	}
	return strings.HasPrefix(err.Error(), "MISCONF") || strings.HasPrefix(err.Error(), "NOREPLICAS")
}

// verdict says why Redis is away after a pipeline that ended with err, nil if it is
// not: a command was not answered, or all that were are refused.
func (a *asked) verdict(err error) error {
	var refused error
	failed, served := false, false
	for cmd := range a.all {
		switch e := cmd.Err(); {
		case e == nil:
			served = true
			continue
		case !answered(e):
			return e
		case refuses(e):
			refused = e
		default:
			served = true
		}
		failed = true
	}
	if err != nil && !failed {
		// It was refused when it connected. The library says so of the pipeline, not of
		// the commands, which look as if they had been answered with nothing.
		for cmd := range a.all {
			cmd.SetErr(err)
		}
		return err
	}
	if served {
		return nil
	}
	return refused
}

// all are the commands of a batch.
func (a *asked) all(yield func(goredis.Cmder) bool) {
	for _, q := range a.scripts {
		if !yield(q.cmd) {
			return
		}
	}
	for _, c := range a.cached {
		if c != nil && !yield(c) {
			return
		}
	}
	for _, c := range a.chains {
		if c.cmd != nil && !yield(c.cmd) {
			return
		}
	}
}
