"""What scenarios.py and agents.py have in common: where the gateway is, what it is
asked, and how scenarios are run.

Each scenario runs with the synchronous and the asynchronous client, against the
providers called near and far, and prints one line of JSON:

    {"name": "near/sync/chat", "ok": true, "error": null}

The variables of the environment come from sdk_test.go.
"""

import json
import os
import traceback
from typing import Literal

import openai
from pydantic import BaseModel

URL = os.environ["SDK_URL"]
OPEN = URL.removesuffix("/v1") + "/open/v1"  # for anybody, with early keep-alives; only where agents are
TOKEN = os.environ["SDK_TOKEN"]
TOKEN_OTHER = os.environ["SDK_TOKEN_OTHER"]
ANSWER = os.environ["SDK_ANSWER"]
ADMINS = os.environ["SDK_ADMINS"].split()
TARGETS = {"near": "near/small", "far": "far/steady/small"}

HELLO = [{"role": "user", "content": "Hello, grüß dich 👋"}]
USAGE = {"include_usage": True}


class Weather(BaseModel):
    """What get_weather wants to know."""

    city: str
    unit: Literal["celsius", "fahrenheit"]
    days: int


TOOLS = [openai.pydantic_function_tool(Weather, name="get_weather", description="The weather of a city")]


class Stop(BaseModel):
    name: str
    minutes: int


class Route(BaseModel):
    mode: Literal["ferry", "train"]
    stops: list[Stop]
    direct: bool
    remark: str | None


async def run(scenarios):
    """Runs each with the synchronous and the asynchronous client, against near and far."""
    async with openai.AsyncOpenAI(base_url=URL, api_key=TOKEN) as asynchronous:
        with openai.OpenAI(base_url=URL, api_key=TOKEN) as synchronous:
            for at in TARGETS:
                for face, client in (("sync", synchronous), ("async", asynchronous)):
                    for scenario in scenarios:
                        error = None
                        try:
                            await scenario(client, at)
                        except Exception:
                            error = traceback.format_exc(limit=-4)
                        result = {"name": f"{at}/{face}/{scenario.__name__}", "ok": error is None, "error": error}
                        print(json.dumps(result), flush=True)
