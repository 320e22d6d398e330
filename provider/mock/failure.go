package mock

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/universal-ai-gateway/magicproxy/openai"
	"github.com/universal-ai-gateway/magicproxy/provider"
)

// failureOf returns the error object an upstream sends with a status.
func failureOf(status int) *openai.Error {
	e := &openai.Error{Status: status, Type: "server_error", Message: "The mock answers " + strconv.Itoa(status) + ", as configured."}
	switch status {
	case http.StatusUnauthorized:
		e.Type, e.Code = "invalid_request_error", "invalid_api_key"
	case http.StatusPaymentRequired:
		e.Type, e.Code = "insufficient_quota", "insufficient_quota"
	case http.StatusForbidden:
		e.Type, e.Code = "invalid_request_error", "permission_denied"
	case http.StatusNotFound:
		e.Type, e.Code, e.Param = "invalid_request_error", "model_not_found", "model"
	case http.StatusTooManyRequests:
		e.Type, e.Code = "rate_limit_exceeded", "rate_limit_exceeded"
	default:
		if status >= 400 && status < 500 {
			e.Type = "invalid_request_error"
		}
	}
	return e
}

func (p *Provider) fail(ctx context.Context) *provider.Response {
	res := refuse(ctx, failureOf(p.o.Fail))
	if d := p.o.RetryAfter; d > 0 {
		seconds := int64((d + time.Second - 1) / time.Second)
		res.Header.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	return res
}

// refuse answers with e and its status.
func refuse(ctx context.Context, e *openai.Error) *provider.Response {
	body := e.AppendJSON(nil)
	return &provider.Response{Status: e.Status, Header: jsonHeader(len(body)), Body: &document{ctx: ctx, rest: body, end: io.EOF}}
}

// errorFirst answers 200 and brings the error in the body.
func (p *Provider) errorFirst(ctx context.Context, r *openai.Request) *provider.Response {
	e := failureOf(http.StatusInternalServerError)
	e.Status = http.StatusOK
	e.Message = "The mock begins with an error, as configured."
	res := refuse(ctx, e)
	if !r.Stream {
		return res
	}
	var body []byte
	if r.Endpoint == openai.Responses {
		body = append(body, "event: error\n"+`data: {"type":"error","code":"`...)
		body = append(body, e.Type...)
		body = append(body, `","message":`...)
		body = openai.AppendString(body, e.Message)
		body = append(body, `,"param":null,"sequence_number":0}`+"\n\n"...)
	} else {
		body = e.AppendEvent(body)
	}
	res.Header = eventStream()
	res.Body = &document{ctx: ctx, rest: body, end: io.EOF}
	return res
}
