package caddymodule

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/universal-ai-gateway/magicproxy/agentruntime"
	"github.com/universal-ai-gateway/magicproxy/openai"
)

// runObserver turns what runs do into metrics and spans.
type runObserver struct{ recorder *recorder }

// Recovered implements agentruntime.Observer.
func (runObserver) Recovered(how string) { metrics.recovered.WithLabelValues(how).Inc() }

// Tool implements agentruntime.Observer. As for attempts there are spans only where
// the request has one.
func (o runObserver) Tool(ctx context.Context, use agentruntime.ToolUse) (context.Context, func(outcome, text string)) {
	from, server, tool := time.Now(), use.Server, use.Tool
	recorded := o.recorder.recordTool(ctx, use)
	var span trace.Span
	if tracer := tracerOf(ctx); tracer != nil {
		name := openai.Cut(tool, 128)
		ctx, span = tracer.Start(ctx, "execute_tool "+name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String("gen_ai.operation.name", "execute_tool"),
			attribute.String("gen_ai.tool.name", name),
			attribute.String("mcp.server.name", server),
		))
	}
	return ctx, func(outcome, text string) {
		if recorded != nil {
			recorded(outcome, text)
		}
		metrics.toolCalls.WithLabelValues(server, outcome).Inc()
		metrics.toolSeconds.WithLabelValues(server).Observe(time.Since(from).Seconds())
		if span == nil {
			return
		}
		if outcome != "ok" {
			span.SetAttributes(attribute.String("error.type", outcome))
			span.SetStatus(codes.Error, outcome)
		}
		span.End()
	}
}

// Ended implements agentruntime.Observer.
func (runObserver) Ended(a *agentruntime.Agent, reason string, turns, _ int) {
	metrics.runs.WithLabelValues(a.Name, reason).Inc()
	metrics.turns.WithLabelValues(a.Name).Observe(float64(turns))
}

// beginRun begins the span of a run, around those of its model calls and tools.
func beginRun(ctx context.Context, a *agentruntime.Agent) (context.Context, trace.Span) {
	tracer := tracerOf(ctx)
	if tracer == nil {
		return ctx, trace.SpanFromContext(context.Background())
	}
	return tracer.Start(ctx, "invoke_agent "+a.Name, trace.WithAttributes(
		attribute.String("gen_ai.operation.name", "invoke_agent"),
		attribute.String("gen_ai.agent.name", a.Name),
	))
}

// Interface guards
var _ agentruntime.Observer = runObserver{}
