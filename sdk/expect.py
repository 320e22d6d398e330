"""What scenarios.py expects, and how it uses both clients with one text: what
the asynchronous one returns is awaited, what the other returns is there already.
"""

import inspect
from contextlib import asynccontextmanager

import openai


async def got(value):
    return await value if inspect.isawaitable(value) else value


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


def text_of(chunks, index=0):
    return "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices if c.index == index)


def check_usage(usage):
    check(usage.prompt_tokens > 0 and usage.completion_tokens > 0, f"usage {usage}")
    equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "total_tokens")


def check_chunks(chunks, finish="stop"):
    """Checks a stream of one choice, without usage."""
    equal({c.object for c in chunks}, {"chat.completion.chunk"}, "object")
    equal(len({(c.id, c.created) for c in chunks}), 1, "number of ids")
    equal({c.model for c in chunks}, {"small"}, "model")
    equal(chunks[0].choices[0].delta.role, "assistant", "role")
    equal([c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason], [finish], "finish_reason")
