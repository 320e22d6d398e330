"""Asks agents all that agents_test.go lists, with the official SDK for Python.

at is near or far: which of the gateway's agents are asked. Their model is a
simulated one. It calls the first tool that it is offered, once, and then says
what the tool has answered; the tool echo is one of a real tool server.
"""

import asyncio
import time
import uuid

import openai
from expect import (
    active, answer_tool, begun, busy, check, check_answer, check_chunks, check_error, check_usage, each, entered, equal, got,
    idle, kinds_of, listed, raised, reasoning_of, text_of,
)  # fmt: skip
from setting import HELLO, OPEN, TARGETS, TOKEN_OTHER, TOOLS, USAGE, Route, Weather, run

SESSION = "x-session-id"
PATIENCE = {"timeout": 10, "max_retries": 0}  # with what might never end
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def ways(at):
    """Returns what is asked: an agent that calls functions, and one that writes tags, both with the tool echo."""
    return (
        {"model": f"{at}-native", "messages": HELLO, "reasoning_effort": "high"},
        {"model": f"{at}-react", "messages": HELLO},
    )


async def agent_models(client, at):
    names = ("native", "alias", "native_analytical", "react", "bare", "bare_react")
    models = [m for m in await listed(client.models.list()) if m.id in {f"{at}-{name}" for name in names}]
    equal(sorted(m.id for m in models), sorted(f"{at}-{name}" for name in names), "ids")
    equal({(m.object, m.owned_by) for m in models}, {("model", "ai-gateway")}, "object, owned_by")
    for name in names:
        model = await got(client.models.retrieve(f"{at}-{name}"))
        equal(model, next(m for m in models if m.id == model.id), "model")
    # The answer has the name that was asked for.
    for name in ("alias", "native_analytical"):
        completion = await got(client.chat.completions.create(model=f"{at}-{name}", messages=HELLO))
        equal(completion.model, f"{at}-{name}", "model")


# Answers


async def agent(client, at):
    for asked in ways(at):
        raw = await got(client.chat.completions.with_raw_response.create(**asked))
        equal(raw.headers["x-ai-gateway-target"], TARGETS[at], "x-ai-gateway-target")
        completion = await got(raw.parse())
        equal((completion.object, completion.model), ("chat.completion", asked["model"]), "object, model")
        equal(len(completion.choices), 1, "number of choices")
        choice = completion.choices[0]
        equal((choice.index, choice.finish_reason, choice.message.role), (0, "stop", "assistant"), "choice")
        equal(choice.message.tool_calls, None, "tool_calls")
        check_answer(choice.message.content, reasoning_of(choice.message))
        check_usage(completion.usage)


async def agent_stream(client, at):
    for asked in ways(at):
        said = await got(client.chat.completions.create(**asked))
        chunks = await listed(await got(client.chat.completions.create(**asked, stream=True)))
        check_chunks(chunks, model=asked["model"])
        equal([c for c in chunks if c.usage or not c.choices], [], "usage that nobody asked for")
        deltas = [c.choices[0].delta for c in chunks]
        equal([i for i, d in enumerate(deltas) if d.role], [0], "deltas with a role")
        equal([d for d in deltas if d.tool_calls], [], "calls that are not the client's")
        equal(kinds_of(chunks), "rc", "reasoning, then content")
        check(len([d for d in deltas if d.content]) > 1, "the content came in one piece")
        equal(chunks[-1].choices[0].finish_reason, "stop", "the last chunk's finish_reason")
        check_answer(text_of(chunks), "".join(map(reasoning_of, deltas)))
        equal(text_of(chunks), said.choices[0].message.content, "content")


async def agent_stream_usage(client, at):
    for asked in ways(at):
        said = await got(client.chat.completions.create(**asked))
        chunks = await listed(await got(client.chat.completions.create(**asked, stream=True, stream_options=USAGE)))
        check_chunks(chunks, model=asked["model"])
        equal([i for i, c in enumerate(chunks) if c.usage], [len(chunks) - 1], "chunks with usage")
        equal([i for i, c in enumerate(chunks) if not c.choices], [len(chunks) - 1], "chunks without choices")
        check_usage(chunks[-1].usage)
        # Two model calls with tokens of both: more than the answer's.
        check(chunks[-1].usage.completion_tokens > 12, f"usage {chunks[-1].usage}")
        equal(chunks[-1].usage.completion_tokens, said.usage.completion_tokens, "completion_tokens")


async def agent_stream_helper(client, at):
    for asked in ways(at):
        async with entered(client.chat.completions.stream(**asked, stream_options=USAGE)) as stream:
            events = await listed(stream)
            completion = await got(stream.get_final_completion())
        choice = completion.choices[0]
        equal((choice.finish_reason, choice.message.role, choice.message.tool_calls), ("stop", "assistant", None), "choice")
        check_answer(choice.message.content, reasoning_of(choice.message))
        equal([e.content for e in events if e.type == "content.done"], [choice.message.content], "content.done")
        equal([e.type for e in events if e.type.startswith("tool_calls")], [], "calls that are not the client's")
        check_usage(completion.usage)


async def agent_talks(client, at):
    """A model that speaks beside its call: all of it is one text, and no reasoning comes after its beginning."""
    asked = {"model": f"{at}-talky", "messages": HELLO}
    message = (await got(client.chat.completions.create(**asked))).choices[0].message
    chunks = await listed(await got(client.chat.completions.create(**asked, stream=True, stream_options=USAGE)))
    check_chunks(chunks, model=f"{at}-talky")
    equal(kinds_of(chunks), "rc", "reasoning, then content")
    for text in (message.content, text_of(chunks)):
        equal(text, "Let me ask.\n\nIt says Echo: ping", "content")
    for text in (reasoning_of(message), "".join(reasoning_of(c.choices[0].delta) for c in chunks if c.choices)):
        equal(text, "Hm.", "reasoning")
    usage = chunks[-1].usage
    equal((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (20, 10, 30), "usage of two model calls")

    # Of the calls of one turn the client gets its own, and the other is not run.
    async with entered(client.chat.completions.stream(**asked, tools=TOOLS)) as stream:
        choice = (await got(stream.get_final_completion())).choices[0]
    equal((choice.finish_reason, choice.message.content), ("tool_calls", "Let me ask."), "finish_reason, content")
    equal([call.function.name for call in choice.message.tool_calls], ["get_weather"], "calls")
    equal(choice.message.tool_calls[0].function.parsed_arguments.city, "Ulm", "city")


async def agent_outputs(client, at):
    # Tools are told of in comments here, which the SDK must skip.
    asked = {"model": f"{at}-shy", "messages": HELLO, "reasoning_effort": "high"}
    completion = await got(client.chat.completions.create(**asked))
    chunks = await listed(await got(client.chat.completions.create(**asked, stream=True)))
    check_chunks(chunks, model=f"{at}-shy")
    equal((kinds_of(chunks), reasoning_of(completion.choices[0].message)), ("c", ""), "hidden reasoning")
    for text in (text_of(chunks), completion.choices[0].message.content):
        check_answer(text)

    asked = {"model": f"{at}-frank", "messages": HELLO}
    completion = await got(client.chat.completions.create(**asked))
    chunks = await listed(await got(client.chat.completions.create(**asked, stream=True)))
    check_chunks(chunks, model=f"{at}-frank")
    equal((kinds_of(chunks), reasoning_of(completion.choices[0].message)), ("c", ""), "reasoning_content")
    for text in (text_of(chunks), completion.choices[0].message.content):
        lines = text.strip().split("\n")
        thoughts = [line[1:] for line in lines if line.startswith(">")]
        check(thoughts and lines[0].startswith(">"), f"there is no quotation at the beginning: {text}")
        check_answer("\n".join(lines[len(thoughts) :]).strip(), "\n".join(thoughts))


async def agent_target(client, at):
    # The last one shows no reasoning, and is told of tools in comments.
    for asked in (*ways(at), {"model": f"{at}-shy", "messages": HELLO}):
        raw = await got(client.chat.completions.with_raw_response.create(**asked, stream=True))
        await listed(await got(raw.parse()))
        equal(raw.headers.get("x-ai-gateway-target"), TARGETS[at], f"x-ai-gateway-target of {asked['model']}")


# The client's own tools


async def agent_tools(client, at):
    for model, choice in ((f"{at}-bare", "auto"), (f"{at}-bare_react", "auto"), (f"{at}-native", NAMED)):
        asked = {"model": model, "messages": HELLO, "tools": TOOLS, "tool_choice": choice}
        completion = await got(client.chat.completions.parse(**asked))
        answer = completion.choices[0]
        equal((answer.finish_reason, answer.message.content), ("tool_calls", None), "finish_reason, content")
        equal(type(answer.message.tool_calls[0].function.parsed_arguments), Weather, "the arguments' class")
        check_usage(completion.usage)
        await answer_tool(client, model, answer.message, said=model)
    # Beside a tool of the agent's, which the model calls, the client's is only there.
    completion = await got(client.chat.completions.create(model=f"{at}-native", messages=HELLO, tools=TOOLS))
    equal((completion.choices[0].finish_reason, completion.choices[0].message.tool_calls), ("stop", None), "choice")
    check_answer(completion.choices[0].message.content)


async def agent_tools_stream(client, at):
    for model, choice in ((f"{at}-bare", "auto"), (f"{at}-bare_react", "auto"), (f"{at}-native", NAMED)):
        asked = {"model": model, "messages": HELLO, "tools": TOOLS, "tool_choice": choice}
        chunks = await listed(await got(client.chat.completions.create(**asked, stream=True)))
        check_chunks(chunks, finish="tool_calls", model=model)
        equal(text_of(chunks), "", "content")

        deltas, done = [], []
        async with entered(client.chat.completions.stream(**asked)) as stream:
            async for event in each(stream):
                if event.type == "tool_calls.function.arguments.delta":
                    deltas.append(event.arguments_delta)
                elif event.type == "tool_calls.function.arguments.done":
                    done.append(event)
            completion = await got(stream.get_final_completion())
        answer = completion.choices[0]
        equal(answer.finish_reason, "tool_calls", "finish_reason")
        equal([(e.name, e.arguments) for e in done], [("get_weather", "".join(deltas))], "calls")
        equal(type(answer.message.tool_calls[0].function.parsed_arguments), Weather, "the arguments' class")
        await answer_tool(client, model, answer.message, said=model)


# Structured outputs


async def structured(client, asked):
    completion = await got(client.chat.completions.parse(**asked, response_format=Route))
    message = completion.choices[0].message
    equal((completion.choices[0].finish_reason, type(message.parsed)), ("stop", Route), "finish_reason, class")
    equal(message.parsed, Route.model_validate_json(message.content), "the answer")
    check(reasoning_of(message), "there is no reasoning")

    async with entered(client.chat.completions.stream(**asked, response_format=Route, stream_options=USAGE)) as stream:
        events = await listed(stream)
        completion = await got(stream.get_final_completion())
    equal([type(e.parsed) for e in events if e.type == "content.done"], [Route], "content.done")
    equal(completion.choices[0].message.parsed, message.parsed, "the answer, streamed")
    check_usage(completion.usage)


async def agent_structured(client, at):
    await structured(client, ways(at)[0])


async def agent_structured_tags(client, at):
    await structured(client, ways(at)[1])


# Errors


async def agent_error_bad_request(client, at):
    other = {"type": "function", "function": {"name": "other"}}
    for model in (f"{at}-native", f"{at}-react"):
        for stream in (False, True):
            for fields in ({"n": 2}, {"logprobs": True}, {"tool_choice": other}):
                error = await raised(
                    openai.BadRequestError,
                    lambda: got(
                        client.chat.completions.create(model=model, messages=HELLO, tools=TOOLS, stream=stream, **fields)
                    ),
                )
                check_error(error, 400, "invalid_request_error", None, *fields)
        for make in (
            lambda: got(client.responses.create(model=model, input="Hello")),
            lambda: got(client.completions.create(model=model, prompt="Once")),
            lambda: got(client.embeddings.create(model=model, input="one")),
        ):
            check_error(await raised(openai.BadRequestError, make), 400, "invalid_request_error", None, "model")


async def agent_error_in_stream(client, at):
    """A stream that breaks brings what there is, then raises."""
    alone = client.with_options(**PATIENCE)
    for model, pieces, status, code in (("broken", 5, 502, "upstream_error"), ("hasty", 3, 504, "upstream_timeout")):
        asked = {"model": f"{at}-{model}", "messages": HELLO}
        chunks = []

        async def read():
            async for chunk in each(await got(alone.chat.completions.create(**asked, stream=True))):
                chunks.append(chunk)

        error = await raised(openai.APIError, read)
        equal((error.code, error.type, error.param), (code, "server_error", None), "code, type, param")
        equal(sum(1 for c in chunks if c.choices[0].delta.content), pieces, "number of pieces")
        equal([c for c in chunks if c.choices[0].finish_reason], [], "ends")

        async def helped():
            async with entered(alone.chat.completions.stream(**asked)) as stream:
                return await got(stream.get_final_completion())

        equal((await raised(openai.APIError, helped)).code, code, "the helper's code")

        error = await raised(openai.InternalServerError, lambda: got(alone.chat.completions.create(**asked)))
        check_error(error, status, "server_error", code)
    await idle()


async def agent_timeout(client, at):
    alone = client.with_options(**PATIENCE)
    for stream in (False, True):
        asked_at = time.monotonic()
        error = await raised(
            openai.InternalServerError,
            lambda: got(alone.chat.completions.create(model=f"{at}-mute", messages=HELLO, stream=stream)),
        )
        check_error(error, 504, "server_error", "upstream_timeout")
        check(0.25 < time.monotonic() - asked_at < 10, "the time-out did not end it")

    # Where a comment has kept the stream alive there is no status any more.
    kept = alone.with_options(base_url=OPEN)
    pieces = []

    async def read():
        async for chunk in each(await got(kept.chat.completions.create(model=f"{at}-mute", messages=HELLO, stream=True))):
            pieces.append(chunk)

    error = await raised(openai.APIError, read)
    equal((error.code, error.type, pieces), ("upstream_timeout", "server_error", []), "code, type, pieces")
    await idle()


# Sessions


def session(client, name):
    return got(client.get(f"/sessions/{name}", cast_to=object))


async def agent_sessions(client, at):
    create = client.chat.completions.with_raw_response.create
    asked = {"model": f"{at}-native_analytical", "messages": HELLO}
    raw = await got(create(**asked, stream=True))
    name = raw.headers[SESSION]
    check(16 <= len(name) <= 128, f"{SESSION}: {name}")
    check_chunks(await listed(await got(raw.parse())), model=asked["model"])
    first = await session(client, name)
    equal((first["id"], first["object"], first["agent"]), (name, "session", asked["model"]), "session")
    equal((first["running"], first["steps"], len(first["notebook"])), (False, 2, 1), "running, steps, drafts")

    raw = await got(create(**asked, extra_headers={SESSION: name}))
    equal(raw.headers[SESSION], name, SESSION)
    second = await session(client, name)
    equal((second["steps"], len(second["notebook"])), (4, 2), "steps, drafts")
    equal(second["created"], first["created"], "created")
    raw = await got(create(**asked))
    check(raw.headers[SESSION] != name, "two runs have one session")

    # Who has a token may make an id up. The same id is another session for others.
    own = uuid.uuid4().hex
    raw = await got(create(**asked, extra_headers={SESSION: own}))
    equal(raw.headers[SESSION], own, SESSION)
    other = client.with_options(api_key=TOKEN_OTHER)
    error = await raised(openai.NotFoundError, lambda: session(other, own))
    check_error(error, 404, "invalid_request_error", "session_not_found")
    await got(other.chat.completions.create(**asked, extra_headers={SESSION: own}))
    equal((await session(other, own))["steps"], 2, "steps of the other's session")
    equal((await session(client, own))["steps"], 2, "steps")

    # Anybody else goes on with what was given, and with nothing else.
    anybody = client.with_options(base_url=OPEN, api_key="none")
    raw = await got(anybody.chat.completions.with_raw_response.create(**asked))
    given = raw.headers[SESSION]
    await got(anybody.chat.completions.create(**asked, extra_headers={SESSION: given}))
    equal((await session(anybody, given))["steps"], 4, "steps of nobody's session")
    for unknown in (own, uuid.uuid4().hex):
        for stream in (False, True):
            error = await raised(
                openai.NotFoundError,
                lambda: got(anybody.chat.completions.create(**asked, stream=stream, extra_headers={SESSION: unknown})),
            )
            check_error(error, 404, "invalid_request_error", "session_not_found")


async def agent_error_session(client, at):
    for stream in (False, True):
        for bad in ("short", "x" * 129, "sixteen letters and spaces", "../../../../etc/passwd"):
            error = await raised(
                openai.BadRequestError,
                lambda: got(
                    client.chat.completions.create(
                        model=f"{at}-native", messages=HELLO, stream=stream, extra_headers={SESSION: bad}
                    )
                ),
            )
            check_error(error, 400, "invalid_request_error", None)
    check_error(
        await raised(openai.BadRequestError, lambda: session(client, "short")), 400, "invalid_request_error", None
    )
    unknown = uuid.uuid4().hex
    for make in (
        lambda: session(client, unknown),
        lambda: got(client.post(f"/sessions/{unknown}/cancel", cast_to=object)),
    ):
        check_error(await raised(openai.NotFoundError, make), 404, "invalid_request_error", "session_not_found")


async def agent_cancel(client, at):
    alone = client.with_options(**PATIENCE)
    asked = {"model": f"{at}-long", "messages": HELLO}
    raw = await got(alone.chat.completions.with_raw_response.create(**asked, stream=True))
    name, pieces = raw.headers[SESSION], []

    async def read():
        async for chunk in each(await got(raw.parse())):
            equal(chunk.choices[0].finish_reason, None, "finish_reason")
            if not chunk.choices[0].delta.content:
                continue
            pieces.append(chunk)
            if len(pieces) > 1:
                continue
            equal((await session(client, name))["running"], True, "running")
            error = await raised(
                openai.ConflictError, lambda: got(alone.chat.completions.create(**asked, extra_headers={SESSION: name}))
            )
            check_error(error, 409, "invalid_request_error", "session_busy")
            cancelled = await got(client.post(f"/sessions/{name}/cancel", cast_to=object))
            equal((cancelled["id"], cancelled["object"]), (name, "session"), "what cancel answers")

    error = await raised(openai.APIError, read)
    equal((error.code, error.type, error.param), ("cancelled", "invalid_request_error", None), "code, type, param")
    await idle()

    # Without a stream it is a status, which the SDK does not try again.
    name = uuid.uuid4().hex
    again = alone.with_options(max_retries=2)
    waiting = begun(again, lambda: again.chat.completions.create(**asked, extra_headers={SESSION: name}))
    await busy()
    await got(client.post(f"/sessions/{name}/cancel", cast_to=object))
    error = await raised(openai.APIStatusError, lambda: waiting)
    check_error(error, 499, "invalid_request_error", "cancelled")
    await idle()
    equal((await session(client, name))["running"], False, "running")


async def agent_leave(client, at):
    """The model would be silent for two minutes; the client has other plans."""
    await idle()
    raw = await got(client.chat.completions.with_raw_response.create(model=f"{at}-long", messages=HELLO, stream=True))
    stream = await got(raw.parse())
    async for chunk in each(stream):
        if chunk.choices[0].delta.content:
            break
    check(sum(active().values()) > 0, "no call is under way during the stream")
    await got(stream.close())
    await idle()
    hasty = client.with_options(timeout=0.2, max_retries=0)
    await raised(openai.APITimeoutError, lambda: got(hasty.chat.completions.create(model=f"{at}-long", messages=HELLO)))
    await idle()
    equal((await session(client, raw.headers[SESSION]))["running"], False, "running")


SCENARIOS = (
    agent_models, agent, agent_stream, agent_stream_usage, agent_stream_helper, agent_talks, agent_outputs,
    agent_target, agent_tools, agent_tools_stream, agent_structured, agent_structured_tags, agent_error_bad_request,
    agent_error_in_stream, agent_timeout, agent_sessions, agent_error_session, agent_cancel, agent_leave,
)  # fmt: skip


asyncio.run(run(SCENARIOS))
