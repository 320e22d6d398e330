package caddymodule

import (
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/universal-ai-gateway/magicproxy/openai"
)

// record notes how the exchange went: metrics, the access log, placeholders, and
// a log line of our own for what is the gateway's or the upstreams' trouble.
func (x *exchange) record() {
	x.took = time.Since(x.start)
	metrics.finish(x)
	x.recordEnd()
	if extra, ok := x.r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.Object("ai_gateway", x))
	}
	x.repl.Map(x.placeholder)
	if e := x.failure; e != nil && e.Class != openai.ClassCaller && e.Status >= 500 {
		fields := []zap.Field{zap.String("request_id", x.id), zap.String("model", x.logModel()), zap.Int("status", e.Status), zap.String("class", e.Class.String()), zap.Int("attempts", x.trace.Attempts)}
		if target := x.target(); target != "" {
			fields = append(fields, zap.String("target", target))
		}
		if x.resting != "" {
			fields = append(fields, zap.String("resting", x.resting))
		}
		if x.cause != nil {
			fields = append(fields, zap.String("cause", x.cause.Kind.String()), zap.NamedError("error", x.cause), zap.NamedError("reason", x.cause.Err))
		}
		x.h.logger.Warn("request failed", fields...)
	}
}

// logModel is the model's name as logs show it: it is the client's text.
func (x *exchange) logModel() string { return openai.Cut(x.model, 128) }

// outcome says in one word how it went.
func (x *exchange) outcome() string {
	switch {
	case x.left:
		return "canceled"
	case x.failure != nil:
		return x.failure.Class.String()
	}
	return "ok"
}

// overhead is the time that the gateway took for itself (contract O4).
func (x *exchange) overhead() time.Duration {
	return max(0, x.took-x.trace.Waited-x.reading)
}

// firstContent is the time to the first content, 0 when there was none.
func (x *exchange) firstContent() time.Duration {
	if x.trace.First.IsZero() {
		return 0
	}
	return x.trace.First.Sub(x.start)
}

// target is the target tried last as logs show it, empty when there was none.
func (x *exchange) target() string {
	if x.trace.Target == nil {
		return ""
	}
	return openai.Cut(x.trace.Target.String(), 256)
}

// MarshalLogObject implements zapcore.ObjectMarshaler for the access log.
func (x *exchange) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("request_id", x.id)
	enc.AddString("endpoint", x.endpoint)
	enc.AddString("outcome", x.outcome())
	if x.model != "" {
		enc.AddString("model", x.logModel())
	}
	if x.failure != nil && x.failure.Code != "" {
		enc.AddString("code", openai.Cut(x.failure.Code, 64))
	}
	if x.trace.Attempts > 0 {
		enc.AddString("target", x.target())
		enc.AddInt("attempts", x.trace.Attempts)
	}
	if x.agentRun != nil {
		enc.AddInt("turns", x.agentRun.Turns())
		enc.AddInt("tool_calls", x.agentRun.Calls())
	}
	if u := x.trace.Usage; u.Total > 0 {
		enc.AddInt64("prompt_tokens", u.Prompt)
		enc.AddInt64("completion_tokens", u.Completion)
	}
	if d := x.firstContent(); d > 0 {
		enc.AddFloat64("first_content", d.Seconds())
	}
	enc.AddFloat64("overhead", x.overhead().Seconds())
	return nil
}

// placeholder answers for http.ai_gateway.*.
func (x *exchange) placeholder(key string) (any, bool) {
	const space = "http.ai_gateway."
	if len(key) <= len(space) || key[:len(space)] != space {
		return nil, false
	}
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }
	switch key[len(space):] {
	case "request_id":
		return x.id, true
	case "user":
		return x.userName, true
	case "model":
		return x.logModel(), true
	case "target":
		return x.target(), true
	case "turns", "tool_calls":
		switch {
		case x.agentRun == nil:
			return 0, true
		case key[len(space):] == "turns":
			return x.agentRun.Turns(), true
		}
		return x.agentRun.Calls(), true
	case "attempts":
		return x.trace.Attempts, true
	case "outcome":
		return x.outcome(), true
	case "prompt_tokens":
		return x.trace.Usage.Prompt, true
	case "completion_tokens":
		return x.trace.Usage.Completion, true
	case "first_content":
		return seconds(x.firstContent()), true
	case "overhead":
		return seconds(x.overhead()), true
	}
	return nil, false
}
