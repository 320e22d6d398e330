package kafka

import (
	"testing"

	"github.com/universal-ai-gateway/magicproxy/audit"
	"github.com/universal-ai-gateway/magicproxy/audit/audittest"
	"github.com/universal-ai-gateway/magicproxy/loadtest/backendtest"
)

func TestSuite(t *testing.T) {
	brokers := backendtest.Shared(t, "kafka")
	audittest.Senders(t, func(t *testing.T) (audit.Sender, func() []string) {
		o := Options{Brokers: []string{brokers}, Topic: backendtest.KafkaTopic(t, brokers, 3)}
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s, func() (all []string) {
			for v, err := range Read(t.Context(), o, Reading{FromStart: true}) {
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, string(v))
			}
			return all
		}
	})
}
