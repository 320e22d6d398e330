"""Asks a gateway all that sdk_test.go lists, with the official SDK for Python.

at is near or far: which of the gateway's providers are asked.
"""

import asyncio
import math

import openai
from expect import (
    active, answer_tool, check, check_chunks, check_error, check_usage, each, entered, equal, got, idle, listed, raised,
    text_of,
)  # fmt: skip
from setting import ANSWER, HELLO, TARGETS, TOOLS, USAGE, Route, Weather, run

# Models


async def models_list(client, at):
    models = await listed(client.models.list())
    ids = [m.id for m in models]
    equal(len(ids), len(set(ids)), "number of ids")
    for want, owner in ((f"{at}-tier", "ai-gateway"), (f"{at}/m", at), (f"{at}-slow/m", f"{at}-slow")):
        equal([(m.object, m.owned_by) for m in models if m.id == want], [("model", owner)], want)


async def models_retrieve(client, at):
    model = await got(client.models.retrieve(f"{at}/m"))
    equal((model.id, model.object, model.owned_by), (f"{at}/m", "model", at), "model")
    check(model.created > 0, "created is not set")


# Chat


async def chat(client, at):
    completion = await got(client.chat.completions.create(model=f"{at}/m", messages=HELLO))
    equal((completion.object, completion.model), ("chat.completion", "small"), "object, model")
    equal(len(completion.choices), 1, "number of choices")
    choice = completion.choices[0]
    equal((choice.index, choice.finish_reason, choice.message.role), (0, "stop", "assistant"), "choice")
    check(choice.message.content, "there is no content")
    equal(choice.message.tool_calls, None, "tool_calls")
    check_usage(completion.usage)


async def chat_stream(client, at):
    said = await got(client.chat.completions.create(model=f"{at}-said/m", messages=HELLO))
    chunks = await listed(await got(client.chat.completions.create(model=f"{at}-said/m", messages=HELLO, stream=True)))
    check_chunks(chunks)
    equal([c.usage for c in chunks if c.usage], [], "usage that nobody asked for")
    equal([c for c in chunks if not c.choices], [], "chunks without choices")
    check(sum(1 for c in chunks if c.choices[0].delta.content) > 2, "the content came in one piece")
    equal(text_of(chunks), ANSWER, "content")
    equal(said.choices[0].message.content, ANSWER, "content without a stream")


async def chat_stream_usage(client, at):
    chunks = await listed(
        await got(client.chat.completions.create(model=f"{at}/m", messages=HELLO, stream=True, stream_options=USAGE))
    )
    check_chunks(chunks)
    equal([i for i, c in enumerate(chunks) if c.usage], [len(chunks) - 1], "chunks with usage")
    equal(chunks[-1].choices, [], "choices of the last chunk")
    check_usage(chunks[-1].usage)
    equal(chunks[-1].usage.completion_tokens, 12, "completion_tokens")


async def reasoning(client, at):
    completion = await got(client.chat.completions.create(model=f"{at}/m", messages=HELLO, reasoning_effort="low"))
    message = completion.choices[0].message
    check(message.content and message.reasoning_content, "content or reasoning is missing")
    tokens = completion.usage.completion_tokens_details.reasoning_tokens
    check(0 < tokens < completion.usage.completion_tokens, f"{tokens} reasoning tokens")
    completion = await got(client.chat.completions.create(model=f"{at}/m", messages=HELLO, reasoning_effort="none"))
    equal(getattr(completion.choices[0].message, "reasoning_content", None), None, "reasoning at effort none")


async def reasoning_stream(client, at):
    chunks = await listed(
        await got(client.chat.completions.create(model=f"{at}/m", messages=HELLO, reasoning_effort="high", stream=True))
    )
    check_chunks(chunks)
    thinks = [i for i, c in enumerate(chunks) if getattr(c.choices[0].delta, "reasoning_content", None)]
    speaks = [i for i, c in enumerate(chunks) if c.choices[0].delta.content]
    check(thinks and speaks and max(thinks) < min(speaks), f"reasoning in {thinks}, content in {speaks}")


async def choices(client, at):
    completion = await got(client.chat.completions.create(model=f"{at}/m", messages=HELLO, n=2))
    equal([c.index for c in completion.choices], [0, 1], "indexes")
    check(completion.choices[0].message.content != completion.choices[1].message.content, "both say the same")
    chunks = await listed(await got(client.chat.completions.create(model=f"{at}/m", messages=HELLO, n=2, stream=True)))
    check(text_of(chunks, 0) and text_of(chunks, 1) and text_of(chunks, 0) != text_of(chunks, 1), "two choices, streamed")
    ends = sorted((c.index, c.finish_reason) for chunk in chunks for c in chunk.choices if c.finish_reason)
    equal(ends, [(0, "stop"), (1, "stop")], "ends")


# Tools


async def tools(client, at):
    completion = await got(client.chat.completions.create(model=f"{at}/m", messages=HELLO, tools=TOOLS))
    choice = completion.choices[0]
    equal((choice.finish_reason, choice.message.content), ("tool_calls", None), "finish_reason, content")
    await answer_tool(client, f"{at}/m", choice.message)
    named = {"type": "function", "function": {"name": "get_weather"}}
    completion = await got(client.chat.completions.parse(model=f"{at}/m", messages=HELLO, tools=TOOLS, tool_choice=named))
    parsed = completion.choices[0].message.tool_calls[0].function.parsed_arguments
    equal(type(parsed), Weather, "the arguments' class")


async def tools_stream(client, at):
    deltas, done = [], []
    async with entered(client.chat.completions.stream(model=f"{at}/m", messages=HELLO, tools=TOOLS)) as stream:
        async for event in each(stream):
            if event.type == "tool_calls.function.arguments.delta":
                deltas.append(event.arguments_delta)
            elif event.type == "tool_calls.function.arguments.done":
                done.append(event)
        completion = await got(stream.get_final_completion())
    choice = completion.choices[0]
    equal(choice.finish_reason, "tool_calls", "finish_reason")
    check(len([d for d in deltas if d]) > 1, f"the arguments came in one piece: {deltas}")
    equal([(e.name, e.arguments) for e in done], [("get_weather", "".join(deltas))], "calls")
    equal(choice.message.tool_calls[0].function.arguments, "".join(deltas), "arguments")
    equal(type(choice.message.tool_calls[0].function.parsed_arguments), Weather, "the arguments' class")
    await answer_tool(client, f"{at}/m", choice.message)


# Structured outputs


async def structured(client, at):
    completion = await got(client.chat.completions.parse(model=f"{at}/m", messages=HELLO, response_format=Route))
    message = completion.choices[0].message
    equal(type(message.parsed), Route, "the answer's class")
    equal(message.parsed, Route.model_validate_json(message.content), "the answer")


async def structured_stream(client, at):
    async with entered(
        client.chat.completions.stream(model=f"{at}/m", messages=HELLO, response_format=Route, stream_options=USAGE)
    ) as stream:
        events = await listed(stream)
        completion = await got(stream.get_final_completion())
    equal([type(e.parsed) for e in events if e.type == "content.done"], [Route], "content.done")
    equal(type(completion.choices[0].message.parsed), Route, "the answer's class")
    check_usage(completion.usage)


# The other endpoints


async def embeddings(client, at):
    asked = {"model": f"{at}/m", "input": ["one", "zwei ✓"]}
    encoded = await got(client.embeddings.create(**asked))  # the SDK asks for base64 and decodes it
    plain = await got(client.embeddings.create(**asked, encoding_format="float"))
    equal([d.index for d in encoded.data], [0, 1], "indexes")
    for a, b in zip(encoded.data, plain.data, strict=True):
        check(len(a.embedding) > 1 and all(isinstance(x, float) for x in a.embedding), "no list of numbers")
        equal(len(a.embedding), len(b.embedding), "dimensions")
        check(all(math.isclose(x, y, abs_tol=1e-6) for x, y in zip(a.embedding, b.embedding)), "base64 and float differ")
    check(encoded.data[0].embedding != encoded.data[1].embedding, "two inputs with the same vector")
    equal(encoded.model, "small", "model")
    check(encoded.usage.prompt_tokens > 0, "there is no usage")
    short = await got(client.embeddings.create(model=f"{at}/m", input="one", dimensions=16))
    equal([len(d.embedding) for d in short.data], [16], "dimensions")


async def completions(client, at):
    completion = await got(client.completions.create(model=f"{at}-said/m", prompt="Once"))
    equal((completion.object, completion.model), ("text_completion", "small"), "object, model")
    equal([(c.text, c.finish_reason) for c in completion.choices], [(ANSWER, "stop")], "choices")
    check_usage(completion.usage)


async def completions_stream(client, at):
    asked = {"model": f"{at}-said/m", "prompt": "Once", "stream": True}
    chunks = await listed(await got(client.completions.create(**asked)))
    equal("".join(c.choices[0].text for c in chunks), ANSWER, "text")
    equal([c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason], ["stop"], "finish_reason")
    equal([c.usage for c in chunks if c.usage], [], "usage that nobody asked for")
    chunks = await listed(await got(client.completions.create(**asked, stream_options=USAGE)))
    equal([i for i, c in enumerate(chunks) if c.usage], [len(chunks) - 1], "chunks with usage")


async def responses(client, at):
    response = await got(client.responses.create(model=f"{at}-said/m", input="Hello"))
    equal((response.object, response.status, response.model), ("response", "completed", "small"), "response")
    equal(response.output_text, ANSWER, "output_text")
    equal(response.usage.total_tokens, response.usage.input_tokens + response.usage.output_tokens, "total_tokens")


async def responses_stream(client, at):
    events = await listed(await got(client.responses.create(model=f"{at}-said/m", input="Hello", stream=True)))
    equal([e.sequence_number for e in events], list(range(len(events))), "sequence numbers")
    kinds = list(dict.fromkeys(e.type for e in events))
    want = "created in_progress output_item.added content_part.added output_text.delta output_text.done content_part.done"
    equal(kinds, [f"response.{kind}" for kind in f"{want} output_item.done completed".split()], "types of events")
    equal("".join(e.delta for e in events if e.type == "response.output_text.delta"), ANSWER, "the deltas")
    equal(events[-1].response.output_text, ANSWER, "output_text")
    async with entered(client.responses.stream(model=f"{at}-said/m", input="Hello")) as stream:
        response = await got(stream.get_final_response())
    equal((response.status, response.output_text), ("completed", ANSWER), "the helper's response")


# Headers and failover


async def raw_response(client, at):
    raw = await got(client.chat.completions.with_raw_response.create(model=f"{at}/m", messages=HELLO))
    completion = await got(raw.parse())
    equal(raw.headers["x-ai-gateway-target"], TARGETS[at], "x-ai-gateway-target")
    check(raw.headers["x-request-id"], "there is no x-request-id")
    equal(completion._request_id, raw.headers["x-request-id"], "_request_id")
    equal(raw.retries_taken, 0, "retries")


async def failover(client, at):
    alone = client.with_options(max_retries=0)
    for stream in (False, True):
        raw = await got(alone.chat.completions.with_raw_response.create(model=f"{at}-tier", messages=HELLO, stream=stream))
        equal(raw.headers["x-ai-gateway-target"], TARGETS[at], "x-ai-gateway-target")
        result = await got(raw.parse())
        if stream:
            check_chunks(await listed(result))


# Errors


async def error_authentication(client, at):
    stranger = client.with_options(api_key="canary-wrong-token")
    for make in (
        lambda: got(stranger.chat.completions.create(model=f"{at}/m", messages=HELLO)),
        lambda: got(stranger.chat.completions.create(model=f"{at}/m", messages=HELLO, stream=True)),
        lambda: listed(stranger.models.list()),
    ):
        error = await raised(openai.AuthenticationError, make)
        check_error(error, 401, "invalid_request_error", "invalid_api_key")


async def error_not_found(client, at):
    error = await raised(
        openai.NotFoundError, lambda: got(client.chat.completions.create(model=f"no-{at}/m", messages=HELLO))
    )
    equal((error.status_code, error.code), (404, "model_not_found"), "status, code")
    error = await raised(openai.NotFoundError, lambda: got(client.models.retrieve(f"{at}/nothing")))
    equal((error.status_code, error.code), (404, "model_not_found"), "status, code")
    error = await raised(openai.NotFoundError, lambda: listed(client.files.list()))
    check_error(error, 404, "invalid_request_error", "unknown_url")


async def error_bad_request(client, at):
    asked = {"model": f"{at}/m", "messages": HELLO}
    error = await raised(openai.BadRequestError, lambda: got(client.chat.completions.create(**asked, temperature=3)))
    check_error(error, 400, "invalid_request_error", None, "temperature")
    # This one only the upstream finds.
    other = {"type": "function", "function": {"name": "other"}}
    error = await raised(
        openai.BadRequestError, lambda: got(client.chat.completions.create(**asked, tools=TOOLS, tool_choice=other))
    )
    check_error(error, 400, "invalid_request_error", None, "tool_choice")


async def error_rate_limit(client, at):
    alone = client.with_options(max_retries=0)
    for stream in (False, True):
        error = await raised(
            openai.RateLimitError,
            lambda: got(alone.chat.completions.create(model=f"{at}-limited/m", messages=HELLO, stream=stream)),
        )
        check_error(error, 429, "rate_limit_exceeded", "rate_limit_exceeded")
        check(1 <= int(error.response.headers["retry-after"]) <= 30, f"headers {error.response.headers}")


async def error_unavailable(client, at):
    alone = client.with_options(max_retries=0)
    for stream in (False, True):
        error = await raised(
            openai.InternalServerError,
            lambda: got(alone.chat.completions.create(model=f"{at}-down/m", messages=HELLO, stream=stream)),
        )
        check_error(error, 503, "server_error", "overloaded")
        check(int(error.response.headers["retry-after"]) >= 1, f"headers {error.response.headers}")


async def error_in_stream(client, at):
    """A stream that breaks after five tokens brings them, then raises."""
    asked = {"model": f"{at}-cut/m", "stream": True}
    for create, piece, end in (
        (
            lambda: client.chat.completions.create(**asked, messages=HELLO),
            lambda c: c.choices[0].delta.content,
            lambda c: c.choices[0].finish_reason,
        ),
        (
            lambda: client.completions.create(**asked, prompt="Once"),
            lambda c: c.choices[0].text,
            lambda c: c.choices[0].finish_reason,
        ),
        (
            lambda: client.responses.create(**asked, input="Hello"),
            lambda e: getattr(e, "delta", None),
            lambda e: e.type if e.type in ("response.completed", "response.incomplete") else None,
        ),
    ):
        pieces, ends = [], []

        async def read():
            async for item in each(await got(create())):
                pieces.extend(filter(None, [piece(item)]))
                ends.extend(filter(None, [end(item)]))

        error = await raised(openai.APIError, read)
        equal((error.code, error.type, error.param), ("upstream_error", "server_error", None), "code, type, param")
        equal((len(pieces), ends), (5, []), "number of pieces, ends")

    async def helped():
        async with entered(client.chat.completions.stream(model=f"{at}-cut/m", messages=HELLO)) as stream:
            return await got(stream.get_final_completion())

    equal((await raised(openai.APIError, helped)).code, "upstream_error", "the helper's code")


# Clients that leave


async def leave_stream(client, at):
    """The upstream would be silent for two minutes; the client has other plans."""
    await idle()
    stream = await got(client.chat.completions.create(model=f"{at}-slow/m", messages=HELLO, stream=True))
    async for chunk in each(stream):
        if chunk.choices[0].delta.content:
            break
    check(sum(active().values()) > 0, "no call is under way during the stream")
    await got(stream.close())
    await idle()
    await chat(client, at)


async def leave_timeout(client, at):
    await idle()
    hasty = client.with_options(timeout=0.5, max_retries=0)  # between two reads
    pieces = []

    async def streamed():
        async for chunk in each(await got(hasty.chat.completions.create(model=f"{at}-slow/m", messages=HELLO, stream=True))):
            pieces.append(chunk)

    await raised(openai.APITimeoutError, streamed)
    check(pieces, "nothing came before the pause")
    hasty = client.with_options(timeout=0.1, max_retries=0)
    await raised(
        openai.APITimeoutError, lambda: got(hasty.chat.completions.create(model=f"{at}-slow/m", messages=HELLO))
    )
    await idle()
    await chat(client, at)


SCENARIOS = (
    models_list, models_retrieve, chat, chat_stream, chat_stream_usage, reasoning, reasoning_stream, choices, tools,
    tools_stream, structured, structured_stream, embeddings, completions, completions_stream, responses,
    responses_stream, raw_response, failover, error_authentication, error_not_found, error_bad_request,
    error_rate_limit, error_unavailable, error_in_stream, leave_stream, leave_timeout,
)  # fmt: skip


asyncio.run(run(SCENARIOS))
