package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/users"
)

// userStatus is what operators see of a user: no token, and no key.
type userStatus struct {
	ID        string         `json:"id"`
	Username  string         `json:"username"`
	CreatedAt time.Time      `json:"created_at"`
	Disabled  bool           `json:"disabled"`
	Overrides overrideStatus `json:"overrides"`
	Keys      []string       `json:"keys,omitempty"` // the providers they are for
	Tokens    []tokenOfAdmin `json:"tokens,omitempty"`
}

type tokenOfAdmin struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
}

// userOverrides are users.Overrides as JSON has them: windows are durations such as
// 1m.
type userOverrides struct {
	Allow       []string    `json:"allow,omitempty"`
	RateLimits  []RateLimit `json:"rate_limits,omitempty"`
	Concurrency int         `json:"concurrency,omitempty"`
}

func (o userOverrides) parse() (users.Overrides, error) {
	out := users.Overrides{Allow: o.Allow, Concurrency: o.Concurrency}
	if o.RateLimits != nil {
		out.Limits = make([]users.Limit, 0, len(o.RateLimits)) // none at all is a choice, too
	}
	for i, l := range o.RateLimits {
		if err := l.check(); err != nil {
			return out, fmt.Errorf("rate_limits[%d]: %w", i, err)
		}
		if l.By == byIP {
			return out, fmt.Errorf("rate_limits[%d]: by: a user's limits count the user", i)
		}
		out.Limits = append(out.Limits, users.Limit{N: l.N, Window: time.Duration(l.Window)})
	}
	if o.Concurrency < 0 {
		return out, errors.New("concurrency: must not be negative")
	}
	if len(o.Allow) > 256 || len(out.Limits) > 8 {
		return out, errors.New("at most 256 models and 8 rate limits")
	}
	return out, nil
}

// overrideStatus are users.Overrides as they are shown: null is what the route says, an
// empty list allows nothing.
type overrideStatus struct {
	Allow       []string      `json:"allow"`
	RateLimits  []limitStatus `json:"rate_limits"`
	Concurrency int           `json:"concurrency,omitempty"`
}

type limitStatus struct {
	N      int    `json:"n"`
	Window string `json:"window"`
}

func overridesOf(o users.Overrides) overrideStatus {
	out := overrideStatus{Allow: o.Allow, Concurrency: o.Concurrency}
	if o.Limits != nil {
		out.RateLimits = make([]limitStatus, 0, len(o.Limits))
	}
	for _, l := range o.Limits {
		out.RateLimits = append(out.RateLimits, limitStatus{l.N, l.Window.String()})
	}
	return out
}

func statusOfUser(u users.User) userStatus {
	return userStatus{ID: u.ID, Username: u.Name, CreatedAt: u.Created, Disabled: u.Disabled, Overrides: overridesOf(u.Overrides), Keys: sortedKeys(u.Keys)}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// fieldName is what every field of our documents is called.
var fieldName = regexp.MustCompile(`^[a-z_]+$`)

// checkFields refuses what json.Decoder lets pass: NAME where name is meant, and a field
// that is given twice, of which two readers may take different ones (security X7, X9).
func checkFields(d *json.Decoder) error {
	opening, err := d.Token()
	if err != nil {
		return err
	}
	switch opening {
	case json.Delim('{'):
		seen := make(map[string]bool)
		for d.More() {
			t, err := d.Token()
			if err != nil {
				return err
			}
			name, _ := t.(string)
			switch {
			case !fieldName.MatchString(name):
				return fmt.Errorf("unknown field %q", openai.Cut(name, 64))
			case seen[name]:
				return fmt.Errorf("field %q is given twice", openai.Cut(name, 64))
			}
			seen[name] = true
			if err := checkFields(d); err != nil {
				return err
			}
		}
	case json.Delim('['):
		for d.More() {
			if err := checkFields(d); err != nil {
				return err
			}
		}
	default:
		return nil
	}
	_, err = d.Token() // the closing bracket
	return err
}

// decodeStrict reads one JSON object that has no fields but v's, each at most once.
func decodeStrict(body []byte, v any) error {
	switch trimmed := bytes.TrimLeft(body, " \t\r\n"); {
	case !utf8.Valid(body):
		return errors.New("it is not UTF-8")
	case len(trimmed) > 0 && trimmed[0] != '{':
		return errors.New("it is not an object")
	}
	err := checkFields(json.NewDecoder(bytes.NewReader(body)))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the object")
	}
	return nil
}

// adminUsers answers below /ai_gateway/users.
func (a *App) adminUsers(w http.ResponseWriter, r *http.Request, rest []string) error {
	// To its end, also when nobody waits for it: others are told of what has changed.
	ctx, stop := context.WithTimeout(context.WithoutCancel(r.Context()), accountTime)
	defer stop()
	switch {
	case len(rest) == 0 && r.Method == http.MethodGet:
		return a.adminListUsers(ctx, w, r)
	case len(rest) == 0:
		return a.adminCreateUser(ctx, w, r)
	case !users.ValidName(rest[0]):
		return apiError(http.StatusNotFound, "unknown user")
	case len(rest) == 1 && r.Method == http.MethodDelete:
		return a.adminChange(ctx, w, rest[0], a.people.store.Delete)
	case len(rest) == 1:
		return a.adminUser(ctx, w, r, rest[0])
	case len(rest) == 2 && (rest[1] == "disable" || rest[1] == "enable"):
		if err := need(r, http.MethodPost); err != nil {
			return err
		}
		return a.adminChange(ctx, w, rest[0], func(ctx context.Context, name string) error {
			return a.people.store.Disable(ctx, name, rest[1] == "disable")
		})
	case len(rest) == 2 && rest[1] == "overrides":
		return a.adminOverrides(ctx, w, r, rest[0])
	case len(rest) == 2 && rest[1] == "tokens":
		return a.adminAddToken(ctx, w, r, rest[0])
	case len(rest) == 3 && rest[1] == "tokens":
		return a.adminRemoveToken(ctx, w, r, rest[0], rest[2])
	}
	return apiError(http.StatusNotFound, "unknown path %s", r.URL.Path)
}

// pageSize is how many a listing is to hold: the query's limit, 1 to 1000, or 100.
func pageSize(r *http.Request) (int, error) {
	v := r.URL.Query().Get("limit")
	if v == "" {
		return 100, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 1000 {
		return 0, apiError(http.StatusBadRequest, "limit: expected 1 to 1000, not %q", v)
	}
	return n, nil
}

func (a *App) adminListUsers(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	limit, err := pageSize(r)
	if err != nil {
		return err
	}
	all, err := a.people.store.List(ctx, r.URL.Query().Get("after"), limit)
	if err != nil {
		return a.adminUsersError(err)
	}
	list := make([]userStatus, len(all))
	for i, u := range all {
		list[i] = statusOfUser(u)
	}
	return reply(w, list)
}

func (a *App) adminCreateUser(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	if err := need(r, http.MethodPost); err != nil {
		return err
	}
	var in struct {
		Username string `json:"username"`
	}
	if err := readDocument(r, &in); err != nil {
		return err
	}
	if !users.ValidName(in.Username) {
		return apiError(http.StatusBadRequest, "username: %s", lowerNameRule)
	}
	made, err := a.createUser(ctx, in.Username)
	if err != nil {
		return a.adminUsersError(err)
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, made)
}

func (a *App) adminUser(ctx context.Context, w http.ResponseWriter, r *http.Request, name string) error {
	if err := need(r, http.MethodGet); err != nil {
		return err
	}
	u, err := a.people.store.Get(ctx, name)
	if err != nil {
		return a.adminUsersError(err)
	}
	tokens, err := a.people.store.Tokens(ctx, u.Name, u.ID)
	if err != nil {
		return a.adminUsersError(err)
	}
	s := statusOfUser(u)
	for _, t := range tokens {
		s.Tokens = append(s.Tokens, tokenOfAdmin{t.ID, t.Created})
	}
	return reply(w, s)
}

// adminChange changes a user and lets everybody forget the former state.
func (a *App) adminChange(ctx context.Context, w http.ResponseWriter, name string, do func(context.Context, string) error) error {
	u, err := a.people.store.Get(ctx, name)
	if err == nil {
		err = do(ctx, name)
	}
	if err != nil {
		return a.adminUsersError(err)
	}
	a.tellUsers(userNews{User: u.ID})
	if u, err = a.people.store.Get(ctx, name); errors.Is(err, users.ErrUnknown) {
		return reply(w, map[string]string{"deleted": name})
	} else if err != nil {
		return a.adminUsersError(err)
	}
	return reply(w, statusOfUser(u))
}

func (a *App) adminOverrides(ctx context.Context, w http.ResponseWriter, r *http.Request, name string) error {
	if err := need(r, http.MethodPut); err != nil {
		return err
	}
	var in userOverrides
	if err := readDocument(r, &in); err != nil {
		return err
	}
	o, err := in.parse()
	if err != nil {
		return apiError(http.StatusBadRequest, "%v", err)
	}
	return a.adminChange(ctx, w, name, func(ctx context.Context, name string) error { return a.people.store.Override(ctx, name, o) })
}

func (a *App) adminAddToken(ctx context.Context, w http.ResponseWriter, r *http.Request, name string) error {
	if err := need(r, http.MethodPost); err != nil {
		return err
	}
	u, err := a.people.store.Get(ctx, name)
	if err != nil {
		return a.adminUsersError(err)
	}
	token, t := freshToken()
	if err := a.people.store.AddToken(ctx, u.Name, u.ID, t); err != nil {
		return a.adminUsersError(err)
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, tokenAnswer{u.ID, u.Name, t.ID, token, t.Created})
}

func (a *App) adminRemoveToken(ctx context.Context, w http.ResponseWriter, r *http.Request, name, id string) error {
	if err := need(r, http.MethodDelete); err != nil {
		return err
	}
	u, err := a.people.store.Get(ctx, name)
	if err != nil {
		return a.adminUsersError(err)
	}
	t, err := a.people.store.RemoveToken(ctx, u.Name, u.ID, id)
	if err != nil {
		return a.adminUsersError(err)
	}
	a.tellUsers(userNews{Token: t.Hash[:]})
	return reply(w, map[string]string{"deleted": id})
}

func (a *App) adminUsersError(err error) error {
	switch {
	case errors.Is(err, users.ErrUnknown):
		return apiError(http.StatusNotFound, "unknown user, or unknown token")
	case errors.Is(err, users.ErrTaken):
		return apiError(http.StatusConflict, "the username is taken")
	case errors.Is(err, users.ErrTooMany):
		return apiError(http.StatusConflict, "the user has %d tokens, or %d keys, already", users.MaxTokens, users.MaxKeys)
	}
	return apiError(http.StatusServiceUnavailable, "the store of users: %w", err)
}

// readDocument reads a small JSON body that has nothing but what v has (security
// X7).
func readDocument(r *http.Request, v any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAccountBody+1))
	switch {
	case err != nil:
		return apiError(http.StatusBadRequest, "reading the body: %w", err)
	case len(body) > maxAccountBody:
		return apiError(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", maxAccountBody)
	}
	if err := decodeStrict(body, v); err != nil {
		return apiError(http.StatusBadRequest, "body: %w", err)
	}
	return nil
}
