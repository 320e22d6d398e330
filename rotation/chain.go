package rotation

// Target is one model at one provider.
type Target struct {
	Provider *Provider

	// Model is the upstream's id.
	Model string

	state *targetState
}

// NewTarget returns the target of a bound provider's model that need not be
// known beforehand.
func NewTarget(p *Provider, model string) *Target {
	return &Target{Provider: p, Model: model, state: p.state.target(model, false)}
}

// String returns provider/model.
func (t *Target) String() string { return t.Provider.Name + "/" + t.Model }

// ready reports whether the target could serve now.
func (t *Target) ready(now int64, own *OwnKeys) bool {
	if !t.state.ready(now) || t.Provider.state.limit.full(t.Provider.MaxConcurrent) {
		return false
	}
	if k := own.key(t.Provider); k != nil && k.state.ready(t.Model, now) {
		return true
	}
	for i := range t.Provider.Keys {
		if t.Provider.Keys[i].state.ready(t.Model, now) {
			return true
		}
	}
	return false
}

// Chain is a compiled list of targets: the main part is rotated over, the
// fallbacks follow in order. It is immutable.
type Chain struct {
	// Name is the id of /v1/models: a tier, a provider's alias or
	// provider/model.
	Name     string
	Main     []*Target
	Fallback []*Target

	// Direct says that the name is provider/model: there is no other target, and
	// what its upstream says of the model is said of the name.
	Direct bool
}

// Route is a chain with the start one request got. An agent keeps its route for
// all of its model calls (contract F6).
type Route struct {
	Chain *Chain
	start int
}

// Rotates reports whether the starts of the chain's routes matter: there is more
// than one main target.
func (c *Chain) Rotates() bool { return len(c.Main) > 1 }

// Route returns the route that begins with the start-th main target, counted round
// and round. Whoever counts gives every request of a chain the next start, over all
// machines (contract F6); chains that do not rotate need no count.
func (c *Chain) Route(start uint64) Route {
	r := Route{Chain: c}
	if n := uint64(len(c.Main)); n > 1 {
		r.start = int(start % n) //nolint:gosec // less than n
	}
	return r
}

// Len is the number of targets.
func (r Route) Len() int { return len(r.Chain.Main) + len(r.Chain.Fallback) }

// at returns the i-th target of the route.
func (r Route) at(i int) *Target {
	if n := len(r.Chain.Main); i < n {
		if i += r.start; i >= n {
			i -= n
		}
		return r.Chain.Main[i]
	}
	return r.Chain.Fallback[i-len(r.Chain.Main)]
}

// Plan appends the route's targets to dst in the order they are to be tried:
// those that could serve at now (Unix nanoseconds) before the others, both in
// the route's order. A target that a key of the user's own opens needs no other.
// It allocates only when dst has no room.
func (r Route) Plan(dst []*Target, now int64, own *OwnKeys) []*Target {
	first, n := len(dst), r.Len()
	late := 0
	for i := range n {
		if t := r.at(i); t.ready(now, own) {
			dst = append(dst, t)
		} else {
			late++
		}
	}
	if late == 0 {
		return dst
	}
	// Asked again, a target may meanwhile be ready: tell them apart by what is
	// in dst already, not by a second answer. Entries may repeat, so count.
	planned := len(dst)
	next := first
	for i := range n {
		t := r.at(i)
		if next < planned && dst[next] == t {
			next++
			continue
		}
		dst = append(dst, t)
	}
	return dst
}
