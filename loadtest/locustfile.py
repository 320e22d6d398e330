"""Load as the gateway's users make it, for Locust.

    locust -f loadtest/locustfile.py --headless -u 20 -r 5 -t 1m --host http://127.0.0.1:8001

works against `make run`; docs/loadtest.md says what the users do and how the commands around this file measure.

Every answer is streamed and checked whole. A 200 whose stream carries an error, does not come to its end or says nothing is a
failure. Each chat has two rows: the time to the first text, reasoning included, and the whole. Not to the first byte: an upstream
may send an empty first chunk at once, which the gateway holds back until it knows that there is an answer.

Environment:
    LOADTEST_RAW    a file that gets every measured time as it is, CSV; Locust itself rounds what it shows
"""

import csv
import json
import os
import secrets
import time

import gevent
from locust import FastHttpUser, between, constant, events, task, tag

# The connection of a stream must not be given up while a model is thinking.
PATIENCE = 120.0


class Raw:
    """Writes what was measured, a line each: when it began, what, by whom, how many ms, bytes, the request's id, what was wrong."""

    def __init__(self, path):
        self.file = open(path, "w", newline="", encoding="utf-8")
        self.rows = csv.writer(self.file)
        self.rows.writerow(["start", "name", "user", "ms", "bytes", "request_id", "problem"])

    def write(self, name, response_time, response_length, exception, context, start_time=0.0, **_):
        problem = "" if exception is None else str(exception) or type(exception).__name__
        user, request = context.get("user", ""), context.get("request_id", "")
        self.rows.writerow([f"{start_time:.6f}", name, user, f"{response_time:.6f}", response_length, request, problem])

    def close(self, **_):
        self.file.close()


@events.init.add_listener
def _record(environment, **_):
    path = os.environ.get("LOADTEST_RAW")
    if path:
        raw = Raw(path)
        environment.events.request.add_listener(raw.write)
        environment.events.quit.add_listener(raw.close)


class Broken(Exception):
    """The answer is not what it should be."""


def lines(raw):
    """The lines of a body as they come, without their ends.

    FastHttpUser's own iter_lines calls what its responses do not have, and the response's readline waits for ever for the rest of
    a body that was cut.
    """
    while True:
        at = raw._body_buffer.find(b"\n")
        if at >= 0:
            line = bytes(raw._body_buffer[:at])
            del raw._body_buffer[: at + 1]
            yield line.rstrip(b"\r")
        elif raw.message_complete:
            return
        else:
            data = raw._sock.recv(8192)
            if not data:
                raise Broken("the stream was cut")
            raw.feed(data)


class Answer:
    """A streamed answer, read event by event."""

    def __init__(self):
        self.content = self.reasoning = self.finish = ""
        self.first = 0.0  # when the first text came
        self.size = 0

    def read(self, raw):
        name, done = "", False
        for line in lines(raw):
            self.size += len(line) + 1
            if done and line:
                raise Broken(f"something follows [DONE]: {line[:100]!r}")
            if line.startswith(b"event: "):
                name = line[7:].decode()
            elif line.startswith(b"data: "):
                done = self.take(line[6:], name)
            elif not line:
                name = ""
        if not done:
            raise Broken("the stream ends without [DONE]")
        if not self.finish:
            raise Broken("no finish_reason")
        if not self.content:
            raise Broken("no content")

    def take(self, data, name):
        if data == b"[DONE]":
            return True
        chunk = json.loads(data)
        if name == "error" or "error" in chunk:
            raise Broken(f"the stream carries an error: {data[:300].decode(errors='replace')}")
        for choice in chunk["choices"]:
            delta = choice["delta"]
            self.content += delta.get("content") or ""
            self.reasoning += delta.get("reasoning_content") or ""
            self.finish = choice.get("finish_reason") or self.finish
        if not self.first and (self.content or self.reasoning):
            self.first = time.perf_counter()
        return False


class AuthenticatedUser(FastHttpUser):
    """Registers when it starts. Where registration is closed it calls without a token: then the gateway has to say auth off."""

    abstract = True
    network_timeout = connection_timeout = PATIENCE

    def context(self):
        return {"user": type(self).__name__}

    def on_start(self):
        # The host's name is in the middle of nothing that is measured: registration begins with a fresh connection.
        self.headers = {"Content-Type": "application/json"}
        body = json.dumps({"username": "load-" + secrets.token_hex(8)})
        with self.client.post("/v1/auth/register", data=body, headers=dict(self.headers), name="register", catch_response=True) as r:
            if r.status_code == 201:
                self.headers["Authorization"] = "Bearer " + r.json()["token"]
            elif r.status_code in (403, 404):
                r.request_meta["name"] = "register (closed)"
                r.success()

    def chat(self, name, model, text, check=None):
        body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": text}]})
        answer, start, clock = Answer(), time.time(), time.perf_counter()
        context, problem = {}, None
        with self.client.post(
            "/v1/chat/completions", data=body, headers=dict(self.headers), name=name + ", first text", stream=True, catch_response=True
        ) as r:
            context = r.request_meta["context"]
            context["request_id"] = (r.headers or {}).get("x-request-id", "")
            if r.status_code != 200:
                r.failure(f"{r.status_code} {(r.text or str(getattr(r, 'error', '')))[:300]}")
                return
            try:
                answer.read(r._response)
                if check:
                    check(answer)
            except gevent.GreenletExit:
                raise  # the test has ended
            except Exception as e:  # whatever it is, it is the answer's
                problem = e
                r._response.release()
            whole = time.perf_counter() - clock
            r.request_meta["response_time"] = ((answer.first or time.perf_counter()) - clock) * 1000
            r.success()
        self.environment.events.request.fire(
            request_type="SSE", name=name, response_time=whole * 1000, response_length=answer.size, exception=problem, context=context, start_time=start, url=""
        )


def thought(answer):
    if not answer.reasoning:
        raise Broken("no reasoning")


class StressUser(AuthenticatedUser):
    """As little thinking as there can be: what the gateway adds shows."""

    weight = 10
    wait_time = constant(0.5)

    @tag("stress")
    @task
    def stress(self):
        self.chat("stress", "load_test_agent", "Tell me something.")


class ReActUser(AuthenticatedUser):
    """An agent that thinks, calls a tool, and answers."""

    weight = 5
    wait_time = between(2, 5)

    @tag("agent_reasoning")
    @task
    def reason(self):
        self.chat("agent", "standard_agent", "Look it up and tell me.", thought)


class SwitchoverUser(AuthenticatedUser):
    """Rotation over targets of which one fails, always."""

    weight = 5
    wait_time = between(1, 3)

    @tag("rotation")
    @task
    def switch(self):
        self.chat("rotation", "coding_agent", "Write a function.")


class FullSpeedUser(AuthenticatedUser):
    """Never waits: how much there can be. Only when it is named on the command line: locust … FullSpeedUser."""

    weight = 1

    @tag("ceiling")
    @task
    def hurry(self):
        self.chat("full speed", "load_test_agent", "Hurry.")


@events.init.add_listener
def _leave_out(environment, **_):
    named = environment.parsed_options and environment.parsed_options.user_classes
    if not named:
        environment.user_classes = [c for c in environment.user_classes if c is not FullSpeedUser]
