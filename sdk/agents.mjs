// Asks agents all that agents_test.go lists, with the official SDK for Node. at is
// near or far: which of the gateway's agents are asked. Their model is a simulated
// one. It calls the first tool that it is offered, once, and then says what the tool
// has answered; the tool echo is one of a real tool server.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import {
  active, answerTool, busy, checkAnswer, checkChunks, checkError, checkUsage, choicesOf, finishes, idle, kindsOf, listed,
  raised, textOf,
} from "./expect.mjs";
import {
  anybody, client, messages, otherKey, route, run, stream, targets, tools, weather, withUsage,
} from "./setting.mjs";

const { equal, deepEqual, ok } = assert;

// ways are an agent that calls functions and one that writes tags, both with the
// tool echo, and what they are asked.
const ways = (at) => [
  { model: `${at}-native`, messages, reasoning_effort: "high" },
  { model: `${at}-react`, messages },
];
// patience is for what might never end: a stream that it ends fails the test.
const patience = (options = {}) => ({ signal: AbortSignal.timeout(10_000), maxRetries: 0, ...options });
const named = { type: "function", function: { name: "get_weather" } };
const clientTools = (at) => [
  { model: `${at}-bare`, messages, tools, tool_choice: "auto" },
  { model: `${at}-bare_react`, messages, tools, tool_choice: "auto" },
  { model: `${at}-native`, messages, tools, tool_choice: named },
];

const header = "x-session-id";
const headers = (session) => ({ headers: { [header]: session } });
const session = (id, by = client) => by.get(`/sessions/${id}`);

// structured asks for an answer in a format, plain and streamed.
async function structured(asked) {
  const response_format = zodResponseFormat(route, "route");
  const completion = await client.chat.completions.parse({ ...asked, response_format });
  const [{ message, finish_reason }] = completion.choices;
  equal(finish_reason, "stop");
  deepEqual(route.parse(message.parsed), JSON.parse(message.content));
  ok(message.reasoning_content, "there is no reasoning");

  const done = [];
  const runner = client.chat.completions
    .stream({ ...asked, response_format, ...withUsage })
    .on("content.done", (e) => done.push(e.parsed));
  const streamed = await runner.finalChatCompletion();
  deepEqual([streamed.choices[0].message.parsed, done], [message.parsed, [message.parsed]]);
  checkUsage(streamed.usage);
}

const scenarios = {
  async agent_models(at) {
    const ids = ["alias", "bare", "bare_react", "native", "native_analytical", "react"].map((name) => `${at}-${name}`);
    const models = (await listed(client.models.list())).filter((m) => ids.includes(m.id));
    deepEqual(models.map((m) => m.id).sort(), ids);
    for (const model of models) {
      deepEqual([model.object, model.owned_by], ["model", "ai-gateway"]);
      deepEqual({ ...(await client.models.retrieve(model.id)) }, { ...model });
    }
    // The answer has the name that was asked for.
    for (const model of [`${at}-alias`, `${at}-native_analytical`]) {
      equal((await client.chat.completions.create({ model, messages })).model, model);
    }
  },

  async agent(at) {
    for (const asked of ways(at)) {
      const { data, response } = await client.chat.completions.create(asked).withResponse();
      equal(response.headers.get("x-ai-gateway-target"), targets[at]);
      deepEqual([data.object, data.model, data.choices.length], ["chat.completion", asked.model, 1]);
      const [{ index, finish_reason, message }] = data.choices;
      deepEqual([index, finish_reason, message.role, message.tool_calls], [0, "stop", "assistant", undefined]);
      checkAnswer(message.content, message.reasoning_content);
      checkUsage(data.usage);
    }
  },

  async agent_stream(at) {
    for (const asked of ways(at)) {
      const said = await client.chat.completions.create(asked);
      const chunks = await listed(await stream(asked));
      checkChunks(chunks, { model: asked.model });
      ok(chunks.every((c) => !c.usage && c.choices.length === 1), "usage that nobody asked for");
      const deltas = choicesOf(chunks).map((c) => c.delta);
      deepEqual(deltas.map((d) => d.role).filter(Boolean), ["assistant"]);
      ok(deltas.every((d) => !d.tool_calls), "calls that are not the client's");
      equal(kindsOf(chunks), "rc");
      ok(deltas.filter((d) => d.content).length > 1, "the content came in one piece");
      equal(chunks.at(-1).choices[0].finish_reason, "stop");
      checkAnswer(textOf(chunks), deltas.map((d) => d.reasoning_content ?? "").join(""));
      equal(textOf(chunks), said.choices[0].message.content);
    }
  },

  async agent_stream_usage(at) {
    for (const asked of ways(at)) {
      const said = await client.chat.completions.create(asked);
      const chunks = await listed(await stream({ ...asked, ...withUsage }));
      checkChunks(chunks, { model: asked.model });
      equal(chunks.findIndex((c) => c.usage), chunks.length - 1);
      equal(chunks.findIndex((c) => c.choices.length === 0), chunks.length - 1);
      const { usage } = chunks.at(-1);
      checkUsage(usage);
      // Two model calls with tokens of both: more than the answer's.
      ok(usage.completion_tokens > 12, `${usage.completion_tokens} tokens`);
      equal(usage.completion_tokens, said.usage.completion_tokens);
    }
  },

  async agent_stream_helper(at) {
    for (const asked of ways(at)) {
      const called = [];
      const done = [];
      const runner = client.chat.completions
        .stream({ ...asked, ...withUsage })
        .on("tool_calls.function.arguments.delta", (e) => called.push(e))
        .on("content.done", (e) => done.push(e.content));
      const completion = await runner.finalChatCompletion();
      const [{ finish_reason, message }] = completion.choices;
      deepEqual([finish_reason, message.role, message.tool_calls], ["stop", "assistant", undefined]);
      checkAnswer(message.content, message.reasoning_content);
      deepEqual([called, done], [[], [message.content]]);
      checkUsage(completion.usage);
    }
  },

  // A model that speaks beside its call: all of it is one text, and no reasoning comes
  // after its beginning.
  async agent_talks(at) {
    const asked = { model: `${at}-talky`, messages };
    const [{ message }] = (await client.chat.completions.create(asked)).choices;
    const chunks = await listed(await stream({ ...asked, ...withUsage }));
    checkChunks(chunks, { model: asked.model });
    equal(kindsOf(chunks), "rc");
    const reasoning = choicesOf(chunks).map((c) => c.delta.reasoning_content ?? "").join("");
    deepEqual([message.reasoning_content, reasoning], ["Hm.", "Hm."]);
    const said = "Let me ask.\n\nIt says Echo: ping";
    deepEqual([message.content, textOf(chunks)], [said, said]);
    const { usage } = chunks.at(-1);
    deepEqual([usage.prompt_tokens, usage.completion_tokens, usage.total_tokens], [20, 10, 30]);

    // Of the calls of one turn the client gets its own, and the other is not run.
    const [choice] = (await client.chat.completions.stream({ ...asked, tools }).finalChatCompletion()).choices;
    deepEqual([choice.finish_reason, choice.message.content], ["tool_calls", "Let me ask."]);
    deepEqual(choice.message.tool_calls.map((c) => c.function.name), ["get_weather"]);
    equal(weather.parse(choice.message.tool_calls[0].function.parsed_arguments).city, "Ulm");
  },

  async agent_outputs(at) {
    // Tools are told of in comments here, which the SDK must skip.
    let asked = { model: `${at}-shy`, messages, reasoning_effort: "high" };
    let [{ message }] = (await client.chat.completions.create(asked)).choices;
    let chunks = await listed(await stream(asked));
    checkChunks(chunks, { model: asked.model });
    deepEqual([kindsOf(chunks), message.reasoning_content], ["c", undefined]);
    checkAnswer(textOf(chunks));
    checkAnswer(message.content);

    asked = { model: `${at}-frank`, messages };
    [{ message }] = (await client.chat.completions.create(asked)).choices;
    chunks = await listed(await stream(asked));
    checkChunks(chunks, { model: asked.model });
    deepEqual([kindsOf(chunks), message.reasoning_content], ["c", undefined]);
    for (const text of [textOf(chunks), message.content]) {
      assert.match(text, /^(>.*\n)+\n+[^>]+$/);
      const [thoughts, said] = text.split(/\n\n+(?=[^>\n]+$)/);
      checkAnswer(said, thoughts.replaceAll(/^>/gm, ""));
    }
  },

  async agent_target(at) {
    // The last one shows no reasoning, and is told of tools in comments.
    for (const asked of [...ways(at), { model: `${at}-shy`, messages }]) {
      const { data, response } = await client.chat.completions.create({ ...asked, stream: true }).withResponse();
      await listed(data);
      equal(response.headers.get("x-ai-gateway-target"), targets[at], asked.model);
    }
  },

  async agent_tools(at) {
    for (const asked of clientTools(at)) {
      const completion = await client.chat.completions.parse(asked);
      const [{ finish_reason, message }] = completion.choices;
      deepEqual([finish_reason, message.content], ["tool_calls", null]);
      weather.parse(message.tool_calls[0].function.parsed_arguments);
      checkUsage(completion.usage);
      await answerTool(asked.model, message, asked.model);
    }
    // Beside a tool of the agent's, which the model calls, the client's is only there.
    const both = await client.chat.completions.create({ model: `${at}-native`, messages, tools });
    const [{ finish_reason, message }] = both.choices;
    deepEqual([finish_reason, message.tool_calls], ["stop", undefined]);
    checkAnswer(message.content);
  },

  async agent_tools_stream(at) {
    for (const asked of clientTools(at)) {
      const chunks = await listed(await stream(asked));
      checkChunks(chunks, { finish: "tool_calls", model: asked.model });
      equal(textOf(chunks), "");

      const deltas = [];
      const done = [];
      const runner = client.chat.completions
        .stream(asked)
        .on("tool_calls.function.arguments.delta", (e) => deltas.push(e.arguments_delta))
        .on("tool_calls.function.arguments.done", (e) => done.push([e.name, e.arguments]));
      const [{ finish_reason, message }] = (await runner.finalChatCompletion()).choices;
      equal(finish_reason, "tool_calls");
      deepEqual(done, [["get_weather", deltas.join("")]]);
      weather.parse(JSON.parse(message.tool_calls[0].function.arguments));
      await answerTool(asked.model, message, asked.model);
    }

    // The SDK's own loop: it calls the function, sends the result and asks again.
    for (const model of [`${at}-bare`, `${at}-bare_react`]) {
      for (const streamed of [true, false]) {
        const cities = [];
        const tool = zodFunction({
          name: "get_weather",
          parameters: weather,
          function: ({ city }) => `${cities.push(city)} degrees`,
        });
        const loop = client.chat.completions.runTools({ model, messages, tools: [tool], stream: streamed });
        assert.match(await loop.finalContent(), /^The tool answered: 1 degrees$/);
        equal(cities.length, 1);
      }
    }
  },

  async agent_structured(at) {
    await structured(ways(at)[0]);
  },

  async agent_structured_tags(at) {
    await structured(ways(at)[1]);
  },

  async agent_error_bad_request(at) {
    const tool_choice = { type: "function", function: { name: "other" } };
    for (const model of [`${at}-native`, `${at}-react`]) {
      for (const streamed of [false, true]) {
        for (const fields of [{ n: 2 }, { logprobs: true }, { tool_choice }]) {
          const [param] = Object.keys(fields);
          const asked = { model, messages, tools, stream: streamed, ...fields };
          const error = await raised(OpenAI.BadRequestError, () => client.chat.completions.create(asked));
          checkError(error, 400, "invalid_request_error", null, param);
        }
      }
      for (const make of [
        () => client.responses.create({ model, input: "Hello" }),
        () => client.completions.create({ model, prompt: "Once" }),
        () => client.embeddings.create({ model, input: "one" }),
      ]) {
        checkError(await raised(OpenAI.BadRequestError, make), 400, "invalid_request_error", null, "model");
      }
    }
  },

  // A stream that breaks brings what there is, then throws.
  async agent_error_in_stream(at) {
    for (const [name, pieces, status, code] of [
      ["broken", 5, 502, "upstream_error"],
      ["hasty", 3, 504, "upstream_timeout"],
    ]) {
      const asked = { model: `${at}-${name}`, messages };
      const chunks = [];
      const error = await raised(OpenAI.APIError, async () => {
        const begun = await client.chat.completions.create({ ...asked, stream: true }, patience());
        for await (const chunk of begun) chunks.push(chunk);
      });
      deepEqual([error.code, error.type, error.param], [code, "server_error", null]);
      deepEqual([chunks.filter((c) => c.choices[0].delta.content).length, finishes(chunks)], [pieces, []]);
      const helped = () => client.chat.completions.stream(asked, patience()).finalChatCompletion();
      equal((await raised(OpenAI.APIError, helped)).code, code);
      const whole = await raised(OpenAI.InternalServerError, () => client.chat.completions.create(asked, patience()));
      checkError(whole, status, "server_error", code);
    }
    await idle();
  },

  async agent_timeout(at) {
    const asked = { model: `${at}-mute`, messages };
    for (const streamed of [false, true]) {
      const from = performance.now();
      const make = () => client.chat.completions.create({ ...asked, stream: streamed }, patience());
      checkError(await raised(OpenAI.InternalServerError, make), 504, "server_error", "upstream_timeout");
      const took = performance.now() - from;
      ok(took > 250 && took < 10_000, `the time-out came after ${took} ms`);
    }
    // Where a comment has kept the stream alive there is no status any more.
    const kept = client.withOptions({ baseURL: anybody.baseURL });
    const chunks = [];
    const error = await raised(OpenAI.APIError, async () => {
      const begun = await kept.chat.completions.create({ ...asked, stream: true }, patience());
      for await (const chunk of begun) chunks.push(chunk);
    });
    deepEqual([error.code, error.type, chunks], ["upstream_timeout", "server_error", []]);
    await idle();
  },

  async agent_sessions(at) {
    const asked = { model: `${at}-native_analytical`, messages };
    const ask = async (fields = {}, by = client, options = undefined) => {
      const { data, response } = await by.chat.completions.create({ ...asked, ...fields }, options).withResponse();
      return { data, id: response.headers.get(header) };
    };
    const { data, id } = await ask({ stream: true });
    ok(id.length >= 16 && id.length <= 128, id);
    checkChunks(await listed(data), { model: asked.model });
    const first = await session(id);
    deepEqual([first.id, first.object, first.agent], [id, "session", asked.model]);
    deepEqual([first.running, first.steps, first.notebook.length], [false, 2, 1]);

    equal((await ask({}, client, headers(id))).id, id);
    const second = await session(id);
    deepEqual([second.steps, second.notebook.length, second.created], [4, 2, first.created]);
    assert.notEqual((await ask()).id, id);

    // Who has a token may make an id up. The same id is another session for others.
    const own = randomUUID();
    equal((await ask({}, client, headers(own))).id, own);
    const other = client.withOptions({ apiKey: otherKey });
    const unseen = await raised(OpenAI.NotFoundError, () => session(own, other));
    checkError(unseen, 404, "invalid_request_error", "session_not_found");
    await ask({}, other, headers(own));
    deepEqual([(await session(own, other)).steps, (await session(own)).steps], [2, 2]);

    // Anybody else goes on with what was given, and with nothing else.
    const given = (await ask({}, anybody)).id;
    await ask({}, anybody, headers(given));
    equal((await session(given, anybody)).steps, 4);
    for (const unknown of [own, randomUUID()]) {
      for (const streamed of [false, true]) {
        const error = await raised(OpenAI.NotFoundError, () => ask({ stream: streamed }, anybody, headers(unknown)));
        checkError(error, 404, "invalid_request_error", "session_not_found");
      }
    }
  },

  async agent_error_session(at) {
    for (const streamed of [false, true]) {
      for (const bad of ["short", "x".repeat(129), "sixteen letters and spaces", "../../../../etc/passwd"]) {
        const asked = { model: `${at}-native`, messages, stream: streamed };
        const error = await raised(OpenAI.BadRequestError, () => client.chat.completions.create(asked, headers(bad)));
        checkError(error, 400, "invalid_request_error", null);
      }
    }
    checkError(await raised(OpenAI.BadRequestError, () => session("short")), 400, "invalid_request_error", null);
    const unknown = randomUUID();
    for (const make of [() => session(unknown), () => client.post(`/sessions/${unknown}/cancel`)]) {
      checkError(await raised(OpenAI.NotFoundError, make), 404, "invalid_request_error", "session_not_found");
    }
  },

  async agent_cancel(at) {
    const asked = { model: `${at}-long`, messages };
    const begun = client.chat.completions.create({ ...asked, stream: true }, patience());
    const { data, response } = await begun.withResponse();
    const id = response.headers.get(header);
    let pieces = 0;
    const error = await raised(OpenAI.APIError, async () => {
      for await (const { choices: [choice] } of data) {
        equal(choice.finish_reason, null);
        if (!choice.delta.content || ++pieces > 1) continue;
        equal((await session(id)).running, true);
        const again = () => client.chat.completions.create(asked, patience(headers(id)));
        const second = await raised(OpenAI.ConflictError, again);
        checkError(second, 409, "invalid_request_error", "session_busy");
        const cancelled = await client.post(`/sessions/${id}/cancel`);
        deepEqual([cancelled.id, cancelled.object], [id, "session"]);
      }
    });
    deepEqual([error.code, error.type, error.param], ["cancelled", "invalid_request_error", null]);
    await idle();

    // Without a stream it is a status, which the SDK does not try again.
    const own = randomUUID();
    const options = patience({ maxRetries: 2, ...headers(own) });
    const waiting = raised(OpenAI.APIError, () => client.chat.completions.create(asked, options));
    await busy();
    await client.post(`/sessions/${own}/cancel`);
    checkError(await waiting, 499, "invalid_request_error", "cancelled");
    await idle();
    equal((await session(own)).running, false);
  },

  // The model would be silent for two minutes; the client has other plans.
  async agent_leave(at) {
    await idle();
    const asked = { model: `${at}-long`, messages };
    const { data, response } = await client.chat.completions.create({ ...asked, stream: true }).withResponse();
    for await (const chunk of data) {
      if (!chunk.choices[0].delta.content) continue;
      ok((await active()).length > 0, "no call is under way during the stream");
      data.controller.abort();
    }
    await idle();
    const hasty = client.withOptions({ maxRetries: 0, timeout: 200 });
    await raised(OpenAI.APIConnectionTimeoutError, () => hasty.chat.completions.create(asked));
    await idle();
    equal((await session(response.headers.get(header))).running, false);
  },
};

await run(scenarios);
