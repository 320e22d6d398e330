package caddymodule

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/rotation"
	"github.com/universal-ai-gateway/magicproxy/state"
	"github.com/universal-ai-gateway/magicproxy/users"
)

// topicUsers carries what has changed about users: other machines forget what they
// remember.
const topicUsers = "users"

// userNews is a message of topicUsers. Empty fields say nothing.
type userNews struct {
	User  string `json:"user,omitempty"`  // the id of one who has changed
	Token []byte `json:"token,omitempty"` // the hash of one that is revoked
}

// listen hears the news of other machines until the configuration is given back.
func (a *App) listen() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	quiet := a.store.Bus().Subscribe(topicUsers, a.hearUsers)
	go func() {
		defer close(done)
		a.store.Quarantine().Watch(ctx, a.hearKey)
	}()
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		a.lookAfterStore(ctx)
	}()
	a.release = append(a.release, func() error {
		quiet()
		stop()
		<-done
		<-looked
		return nil
	})
}

// lookEvery is how often the store is used although nobody needs it.
const lookEvery = 2 * time.Second

// lookAfterStore uses the store now and then: a backend that is away is to be known, to
// balancers above all, before the first request, and while there are none.
func (a *App) lookAfterStore(ctx context.Context) {
	if _, ok := a.store.(lasting); ok {
		return // it is in the process
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		a.store.Admit(ctx, state.Admission{Cache: "is anybody there"})
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (a *App) hearUsers(message []byte) {
	var n userNews
	if message == nil || json.Unmarshal(message, &n) != nil {
		a.people.directory.ForgetAll() // something was missed
		return
	}
	if n.User != "" {
		a.people.directory.ForgetUser(n.User)
	}
	if len(n.Token) == len(users.Hash{}) {
		a.people.directory.Forget(users.Hash(n.Token))
	}
}

// tellUsers lets all machines, this one included, forget what they remember.
func (a *App) tellUsers(n userNews) {
	message, err := json.Marshal(n)
	if err != nil {
		a.logger.Error("telling of a change to a user", zap.Error(err))
		return
	}
	a.hearUsers(message) // at once, whatever becomes of the message
	a.store.Bus().Publish(topicUsers, message)
}

// quarantineName names a provider to other machines: its name and its address.
func quarantineName(name, address string) string { return name + " " + address }

// hearKey takes over what another machine has found out about a key.
func (a *App) hearKey(r state.Rested) {
	name, address, _ := strings.Cut(r.Provider, " ")
	p := a.table.Providers()[name]
	if p == nil || a.addresses[name] != address || p.Quarantine <= 0 {
		return
	}
	if r.Until.IsZero() {
		p.Forget(r.Key, r.Model)
		return
	}
	if kind, ok := provider.ParseKind(r.Cause); ok {
		p.Learn(r.Key, r.Model, kind, time.Now(), r.Until)
	}
}

// tellKey tells other machines, and the record, what an attempt has found out about
// its key.
func (a *App) tellKey(ctx context.Context, at rotation.Attempt) {
	if at.Own || at.KeyID == "" {
		return
	}
	name, model := at.Target.Provider.Name, ""
	kind := kindOf(at)
	where := quarantineName(name, a.addresses[name])
	switch blame := kind.Blame(); {
	case at.Healed:
		a.store.Quarantine().Well(where, at.KeyID, "")
		a.store.Quarantine().Well(where, at.KeyID, at.Target.Model)
		a.recordKey(ctx, at, audit.KeyState{Key: at.KeyID, State: "healthy"})
		return
	case at.Until.IsZero() || blame != provider.BlameKey && blame != provider.BlamePair:
		return
	case blame == provider.BlamePair:
		model = at.Target.Model
	}
	a.store.Quarantine().Rest(state.Rested{Provider: where, Key: at.KeyID, Model: model, Cause: kind.String(), Until: at.Until})
	s := audit.KeyState{Key: at.KeyID, State: "cooling", Cause: kind.String(), Until: at.Until.UTC().Format(time.RFC3339)}
	if kind == provider.KindUnauthorized {
		s.State = "retired"
	}
	a.recordKey(ctx, at, s)
}

// tellReset tells other machines, and those who come later, that an operator has made a
// provider's keys well, or one of them.
func (a *App) tellReset(p *rotation.Provider, key string) {
	q, where := a.store.Quarantine(), quarantineName(p.Name, a.addresses[p.Name])
	for _, k := range p.KeyStatuses(time.Now()) {
		if k.ID == "" || key != "" && k.ID != key {
			continue
		}
		q.Well(where, k.ID, "")
		for model := range k.Models {
			q.Well(where, k.ID, model)
		}
	}
}

func (a *App) recordKey(ctx context.Context, at rotation.Attempt, s audit.KeyState) {
	e := audit.Event{Provider: at.Target.Provider.Name, Model: at.Target.Model, Payload: s}
	if t := trailOf(ctx); t != nil {
		t.Record(e)
	}
}
