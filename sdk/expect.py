"""What scenarios expect, and how they use both clients with one text: what the
asynchronous one returns is awaited, what the other returns is there already.
"""

import asyncio
import inspect
import json
import re
import time
import urllib.request
from contextlib import asynccontextmanager

import openai
from setting import ADMINS, HELLO, TOOLS, Weather


async def got(value):
    return await value if inspect.isawaitable(value) else value


def begun(client, make):
    """Has make under way in the background, the synchronous client's in a thread."""
    return asyncio.ensure_future(asyncio.to_thread(make) if isinstance(client, openai.OpenAI) else make())


async def each(source):
    if hasattr(source, "__aiter__"):
        async for item in source:
            yield item
    else:
        for item in source:
            yield item


async def listed(source):
    return [item async for item in each(source)]


@asynccontextmanager
async def entered(manager):
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


def equal(have, want, what="value"):
    if have != want:
        raise AssertionError(f"{what} is {have!r} instead of {want!r}")


def check(condition, what):
    if not condition:
        raise AssertionError(what)


async def raised(kind, make):
    """Returns the error that make must raise, of exactly this kind."""
    try:
        result = await make()
    except openai.OpenAIError as error:
        equal(type(error), kind, f"the error ({error})")
        return error
    raise AssertionError(f"{kind.__name__} was not raised: {result!r}")


def check_error(error, status, kind, code, param=None):
    have = (error.status_code, error.type, error.code, error.param)
    equal(have, (status, kind, code, param), "status, type, code, param")
    check(error.body["message"], "there is no message")
    equal(error.request_id, error.response.headers["x-request-id"], "request_id")


def reasoning_of(message):
    return getattr(message, "reasoning_content", None) or ""


def kinds_of(chunks):
    """Returns in which order reasoning and content come, as r and c: rc for the one before the other."""
    kinds = ""
    for choice in (c for chunk in chunks for c in chunk.choices):
        for kind, text in (("r", reasoning_of(choice.delta)), ("c", choice.delta.content)):
            if text and not kinds.endswith(kind):
                kinds += kind
    return kinds


def text_of(chunks, index=0):
    return "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices if c.index == index)


def check_usage(usage):
    check(usage.prompt_tokens > 0 and usage.completion_tokens > 0, f"usage {usage}")
    equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "total_tokens")


def check_chunks(chunks, finish="stop", model="small"):
    """Checks a stream of one choice, without usage."""
    equal({c.object for c in chunks}, {"chat.completion.chunk"}, "object")
    equal(len({(c.id, c.created) for c in chunks}), 1, "number of ids")
    equal({c.model for c in chunks}, {model}, "model")
    equal(chunks[0].choices[0].delta.role, "assistant", "role")
    equal([c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason], [finish], "finish_reason")


def check_answer(content, reasoning=None):
    """Checks what an agent says of the tool echo: its text, and nothing of how it was called."""
    check(re.fullmatch(r"The tool answered: Echo: \w.*", content), f"the answer is {content!r}")
    check(reasoning is None or reasoning.strip(), "there is no reasoning")
    for inner in ("<", ">", "ACTION", "FINAL_ANSWER", "THOUGHT", "OBSERVATION", "tool_name", "everything"):
        check(inner not in content + (reasoning or ""), f"{inner} is in {content!r} or {reasoning!r}")


async def answer_tool(client, model, message, said="small"):
    """Answers the calls of message, and checks what the model makes of it, plain and streamed."""
    equal([call.type for call in message.tool_calls], ["function"], "types of calls")
    call = message.tool_calls[0]
    check(call.id, "the call has no id")
    equal(call.function.name, "get_weather", "name")
    Weather.model_validate_json(call.function.arguments)
    # A client sends back the fields of the API, not what its SDK has parsed.
    function = {"name": call.function.name, "arguments": call.function.arguments}
    asked = {
        "model": model,
        "tools": TOOLS,
        "messages": [
            *HELLO,
            {"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": call.id, "content": "21 degrees, läuft"},
        ],
    }
    completion = await got(client.chat.completions.create(**asked))
    equal(completion.choices[0].finish_reason, "stop", "finish_reason")
    chunks = await listed(await got(client.chat.completions.create(**asked, stream=True)))
    check_chunks(chunks, model=said)
    for text in (completion.choices[0].message.content, text_of(chunks)):
        check("21 degrees, läuft" in text, f"the result is not in the answer: {text}")


def active():
    """Returns how many calls are under way and waiting, by provider, over all gateways."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    calls = {}
    for admin in ADMINS:
        with opener.open(f"{admin}/ai_gateway/providers", timeout=10) as answer:
            for provider in json.load(answer):
                calls[f"{admin}/{provider['name']}"] = provider["active"] + provider["waiting"]
    return calls


async def busy():
    deadline = time.monotonic() + 10
    while not any(active().values()):
        check(time.monotonic() < deadline, "no call is under way")
        await asyncio.sleep(0.02)


async def idle():
    deadline = time.monotonic() + 10
    while calls := {name: n for name, n in active().items() if n}:
        check(time.monotonic() < deadline, f"calls still under way: {calls}")
        await asyncio.sleep(0.02)
