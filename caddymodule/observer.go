package caddymodule

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
	"github.com/universal-ai-gateway/magicproxy/rotation"
)

// observer turns attempts into metrics, log lines and spans.
type observer struct{ app *App }

type spanKey struct{}

// Begin implements rotation.Observer. Spans are made with the tracer of the span
// that is already in the request's context, Caddy's; without one there are none.
func (o *observer) Begin(ctx context.Context, a rotation.Attempt) context.Context {
	tracer := tracerOf(ctx)
	if tracer == nil {
		return ctx
	}
	// Names and values follow OpenTelemetry's conventions for generative AI.
	operation, model := operationOf(a.Endpoint), openai.Cut(a.Target.Model, 128)
	ctx, span := tracer.Start(ctx, operation+" "+model, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("gen_ai.operation.name", operation),
		attribute.String("gen_ai.provider.name", a.Target.Provider.Name),
		attribute.String("gen_ai.request.model", model),
	))
	return context.WithValue(ctx, spanKey{}, span)
}

// tracerOf returns the tracer of the span that is in ctx, nil if there is none.
func tracerOf(ctx context.Context) trace.Tracer {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return nil
	}
	return parent.TracerProvider().Tracer("github.com/universal-ai-gateway/magicproxy")
}

func operationOf(ep openai.Endpoint) string {
	switch ep {
	case openai.Completions:
		return "text_completion"
	case openai.Embeddings:
		return "embeddings"
	}
	return "chat"
}

// End implements rotation.Observer.
func (o *observer) End(ctx context.Context, a rotation.Attempt) {
	metrics.attempt(a)
	o.app.recorder.recordAttempt(ctx, a)
	o.app.tellKey(ctx, a)
	kind := kindOf(a)
	if span, ok := ctx.Value(spanKey{}).(trace.Span); ok {
		if a.Usage.Total > 0 {
			span.SetAttributes(
				attribute.Int64("gen_ai.usage.input_tokens", a.Usage.Prompt),
				attribute.Int64("gen_ai.usage.output_tokens", a.Usage.Completion))
		}
		if a.Err != nil {
			span.SetAttributes(attribute.String("error.type", kind.String()))
			span.SetStatus(codes.Error, kind.String())
		}
		span.End()
	}
	if a.Err == nil {
		return
	}
	if e := o.app.logger.Check(level(kind), "attempt failed"); e != nil {
		e.Write(zap.String("target", openai.Cut(a.Target.String(), 256)), zap.String("key", a.KeyID), zap.String("outcome", kind.String()),
			zap.Int("status", a.Err.Status), zap.Duration("retry_after", a.Err.RetryAfter), zap.Duration("took", a.Took), restsUntil(a.Until), zap.String("request_id", requestID(ctx)),
			zap.String("error", a.Err.Error()), zap.NamedError("reason", a.Err.Err))
	}
}

func restsUntil(t time.Time) zap.Field {
	if t.IsZero() {
		return zap.Skip()
	}
	return zap.Time("rests_until", t)
}

// level is a warning for what marks a key or a target: that happens once per
// rest, not once per request.
func level(kind provider.Kind) zapcore.Level {
	if kind.Blame() == provider.BlameNothing {
		return zapcore.DebugLevel
	}
	return zapcore.WarnLevel
}

func kindOf(a rotation.Attempt) provider.Kind {
	if a.Err == nil {
		return provider.KindOK
	}
	return a.Err.Kind
}

// Interface guards
var _ rotation.Observer = (*observer)(nil)
