package caddymodule

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/provider/mock"
)

func init() {
	caddy.RegisterModule(new(Mock))
}

// Mock answers in process, deterministically, and fails as told.
type Mock struct {
	// TokenDelay is the time between two tokens. Default 10ms; negative: none.
	TokenDelay caddy.Duration `json:"token_delay,omitempty"`

	// Tokens is the length of an answer. Default 8.
	Tokens int `json:"tokens,omitempty"`

	// Answer is what to say. A placeholder if the whole value is one {env.…} or
	// {file.…}, literal otherwise. Default: words of the mock's own.
	Answer string `json:"answer,omitempty"`

	// Fail is the status to answer instead, from 300 to 599, RetryAfter the time to
	// ask for with it. Default: none.
	Fail       int            `json:"fail,omitempty"`
	RetryAfter caddy.Duration `json:"retry_after,omitempty"`

	// ErrorFirst sends an error as the first event of a good stream.
	ErrorFirst bool `json:"error_first,omitempty"`

	// Cut breaks the connection after so many tokens. Default 0: never.
	Cut int `json:"cut,omitempty"`

	// Stall is a pause after StallAfter tokens. Default: none.
	StallAfter int            `json:"stall_after,omitempty"`
	Stall      caddy.Duration `json:"stall,omitempty"`

	client *mock.Provider
}

const defaultTokenDelay = 10 * time.Millisecond

// mockDefaults is what stands in for every provider in mock mode.
var mockDefaults = mock.Options{TokenDelay: defaultTokenDelay}

// CaddyModule returns the Caddy module information.
func (*Mock) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "ai_gateway.providers.mock", New: func() caddy.Module { return new(Mock) }}
}

// Provision makes the client.
func (m *Mock) Provision(caddy.Context) error {
	if m.Fail != 0 && (m.Fail < 300 || m.Fail > 599) {
		return fmt.Errorf("fail: %d is no status of a failure", m.Fail)
	}
	if m.Tokens < 0 || m.Cut < 0 || m.StallAfter < 0 || m.Stall < 0 || m.RetryAfter < 0 {
		return errors.New("numbers and durations must not be negative")
	}
	answer, err := literal(caddy.NewReplacer(), m.Answer)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	delay := time.Duration(m.TokenDelay)
	if delay == 0 {
		delay = defaultTokenDelay
	}
	m.client = mock.New(mock.Options{
		TokenDelay: max(delay, 0), Tokens: m.Tokens, Answer: answer,
		Fail: m.Fail, RetryAfter: time.Duration(m.RetryAfter), ErrorFirst: m.ErrorFirst,
		Cut: m.Cut, StallAfter: m.StallAfter, Stall: time.Duration(m.Stall),
	})
	return nil
}

// Client implements Protocol.
func (m *Mock) Client() provider.Provider { return m.client }

// Address implements Protocol.
func (m *Mock) Address() string { return mockName }

// Secrets implements Protocol.
func (m *Mock) Secrets() []string { return nil }

// CheckKeys implements Protocol.
func (m *Mock) CheckKeys(int) error { return nil }

// Interface guards
var (
	_ Protocol          = (*Mock)(nil)
	_ caddy.Provisioner = (*Mock)(nil)
)
