// Asks a gateway all that sdk_test.go lists, with the official SDK for Node. at is
// near or far: which of the gateway's providers are asked.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import {
  active, answerTool, checkChunks, checkError, checkUsage, choicesOf, finishes, idle, listed, raised, textOf,
} from "./expect.mjs";
import { alone, answer, client, messages, route, run, stream, targets, tools, weather, withUsage } from "./setting.mjs";

const { equal, deepEqual, ok } = assert;

const scenarios = {
  async models_list(at) {
    const models = await listed(client.models.list());
    equal(new Set(models.map((m) => m.id)).size, models.length);
    for (const [id, owner] of [[`${at}-tier`, "ai-gateway"], [`${at}/m`, at], [`${at}-slow/m`, `${at}-slow`]]) {
      deepEqual(models.filter((m) => m.id === id).map((m) => [m.object, m.owned_by]), [["model", owner]], id);
    }
  },

  async models_retrieve(at) {
    const model = await client.models.retrieve(`${at}/m`);
    deepEqual([model.id, model.object, model.owned_by], [`${at}/m`, "model", at]);
    ok(model.created > 0);
  },

  async chat(at) {
    const completion = await client.chat.completions.create({ model: `${at}/m`, messages });
    deepEqual([completion.object, completion.model, completion.choices.length], ["chat.completion", "small", 1]);
    const [choice] = completion.choices;
    deepEqual([choice.index, choice.finish_reason, choice.message.role], [0, "stop", "assistant"]);
    ok(choice.message.content);
    equal(choice.message.tool_calls, undefined);
    checkUsage(completion.usage);
  },

  async chat_stream(at) {
    const said = await client.chat.completions.create({ model: `${at}-said/m`, messages });
    const chunks = await listed(await stream({ model: `${at}-said/m` }));
    checkChunks(chunks);
    ok(chunks.every((c) => !c.usage && c.choices.length === 1), "usage that nobody asked for");
    ok(chunks.filter((c) => c.choices[0].delta.content).length > 2, "the content came in one piece");
    deepEqual([textOf(chunks), said.choices[0].message.content], [answer, answer]);
  },

  async chat_stream_usage(at) {
    const chunks = await listed(await stream({ model: `${at}/m`, ...withUsage }));
    checkChunks(chunks);
    equal(chunks.findIndex((c) => c.usage), chunks.length - 1);
    const last = chunks.at(-1);
    deepEqual(last.choices, []);
    checkUsage(last.usage);
    equal(last.usage.completion_tokens, 12);
  },

  async reasoning(at) {
    let completion = await client.chat.completions.create({ model: `${at}/m`, messages, reasoning_effort: "low" });
    const [{ message }] = completion.choices;
    ok(message.content && message.reasoning_content);
    const tokens = completion.usage.completion_tokens_details.reasoning_tokens;
    ok(tokens > 0 && tokens < completion.usage.completion_tokens, `${tokens} reasoning tokens`);
    completion = await client.chat.completions.create({ model: `${at}/m`, messages, reasoning_effort: "none" });
    equal(completion.choices[0].message.reasoning_content, undefined);
  },

  async reasoning_stream(at) {
    const chunks = await listed(await stream({ model: `${at}/m`, reasoning_effort: "high" }));
    checkChunks(chunks);
    const kinds = choicesOf(chunks).map(({ delta }) => (delta.reasoning_content ? "r" : delta.content ? "c" : ""));
    assert.match(kinds.join(""), /^r+c+$/);
  },

  async choices(at) {
    const { choices } = await client.chat.completions.create({ model: `${at}/m`, messages, n: 2 });
    deepEqual(choices.map((c) => c.index), [0, 1]);
    assert.notEqual(choices[0].message.content, choices[1].message.content);
    const chunks = await listed(await stream({ model: `${at}/m`, n: 2 }));
    ok(textOf(chunks, 0) && textOf(chunks, 1));
    assert.notEqual(textOf(chunks, 0), textOf(chunks, 1));
    deepEqual([finishes(chunks, 0), finishes(chunks, 1)], [["stop"], ["stop"]]);
  },

  async tools(at) {
    let completion = await client.chat.completions.create({ model: `${at}/m`, messages, tools });
    const [choice] = completion.choices;
    deepEqual([choice.finish_reason, choice.message.content], ["tool_calls", null]);
    await answerTool(`${at}/m`, choice.message);
    const tool_choice = { type: "function", function: { name: "get_weather" } };
    completion = await client.chat.completions.parse({ model: `${at}/m`, messages, tools, tool_choice });
    weather.parse(completion.choices[0].message.tool_calls[0].function.parsed_arguments);
  },

  async tools_stream(at) {
    const deltas = [];
    const done = [];
    const runner = client.chat.completions
      .stream({ model: `${at}/m`, messages, tools })
      .on("tool_calls.function.arguments.delta", (e) => deltas.push(e.arguments_delta))
      .on("tool_calls.function.arguments.done", (e) => done.push([e.name, e.arguments]));
    const [choice] = (await runner.finalChatCompletion()).choices;
    equal(choice.finish_reason, "tool_calls");
    ok(deltas.filter(Boolean).length > 1, "the arguments came in one piece");
    deepEqual(done, [["get_weather", deltas.join("")]]);
    equal(choice.message.tool_calls[0].function.arguments, deltas.join(""));
    await answerTool(`${at}/m`, choice.message);

    // The SDK's own loop: it calls the function, sends the result and asks again.
    const cities = [];
    const tool = zodFunction({
      name: "get_weather",
      parameters: weather,
      function: ({ city }) => `${cities.push(city)} degrees`,
    });
    const loop = client.chat.completions.runTools({ model: `${at}/m`, messages, tools: [tool], stream: true });
    assert.match(await loop.finalContent(), /1 degrees/);
    equal(cities.length, 1);
  },

  async structured(at) {
    const response_format = zodResponseFormat(route, "route");
    const completion = await client.chat.completions.parse({ model: `${at}/m`, messages, response_format });
    const [{ message }] = completion.choices;
    deepEqual(route.parse(message.parsed), JSON.parse(message.content));
  },

  async structured_stream(at) {
    const done = [];
    const runner = client.chat.completions
      .stream({ model: `${at}/m`, messages, response_format: zodResponseFormat(route, "route"), ...withUsage })
      .on("content.done", (e) => done.push(e.parsed));
    const completion = await runner.finalChatCompletion();
    route.parse(completion.choices[0].message.parsed);
    deepEqual(done, [completion.choices[0].message.parsed]);
    checkUsage(completion.usage);
  },

  async embeddings(at) {
    const asked = { model: `${at}/m`, input: ["one", "zwei ✓"] };
    const encoded = await client.embeddings.create(asked); // the SDK asks for base64 and decodes it
    const plain = await client.embeddings.create({ ...asked, encoding_format: "float" });
    deepEqual(encoded.data.map((d) => d.index), [0, 1]);
    encoded.data.forEach(({ embedding }, i) => {
      ok(Array.isArray(embedding) && embedding.length > 1);
      equal(embedding.length, plain.data[i].embedding.length);
      ok(embedding.every((x, k) => Math.abs(x - plain.data[i].embedding[k]) < 1e-6), "base64 and float differ");
    });
    assert.notDeepEqual(encoded.data[0].embedding, encoded.data[1].embedding);
    equal(encoded.model, "small");
    ok(encoded.usage.prompt_tokens > 0);
    const short = await client.embeddings.create({ model: `${at}/m`, input: "one", dimensions: 16 });
    deepEqual(short.data.map((d) => d.embedding.length), [16]);
  },

  async completions(at) {
    const completion = await client.completions.create({ model: `${at}-said/m`, prompt: "Once" });
    deepEqual([completion.object, completion.model], ["text_completion", "small"]);
    deepEqual(completion.choices.map((c) => [c.text, c.finish_reason]), [[answer, "stop"]]);
    checkUsage(completion.usage);
  },

  async completions_stream(at) {
    const asked = { model: `${at}-said/m`, prompt: "Once", stream: true };
    let chunks = await listed(await client.completions.create(asked));
    equal(chunks.map((c) => c.choices[0].text).join(""), answer);
    deepEqual(finishes(chunks), ["stop"]);
    ok(chunks.every((c) => !c.usage), "usage that nobody asked for");
    chunks = await listed(await client.completions.create({ ...asked, ...withUsage }));
    equal(chunks.findIndex((c) => c.usage), chunks.length - 1);
  },

  async responses(at) {
    const response = await client.responses.create({ model: `${at}-said/m`, input: "Hello" });
    deepEqual([response.object, response.status, response.model], ["response", "completed", "small"]);
    equal(response.output_text, answer);
    equal(response.usage.total_tokens, response.usage.input_tokens + response.usage.output_tokens);
  },

  async responses_stream(at) {
    const asked = { model: `${at}-said/m`, input: "Hello" };
    const events = await listed(await client.responses.create({ ...asked, stream: true }));
    deepEqual(events.map((e) => e.sequence_number), [...events.keys()]);
    const kinds = [
      "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
      "output_text.done", "content_part.done", "output_item.done", "completed",
    ];
    deepEqual([...new Set(events.map((e) => e.type))], kinds.map((kind) => `response.${kind}`));
    const deltas = events.filter((e) => e.type === "response.output_text.delta").map((e) => e.delta);
    equal(deltas.join(""), answer);
    equal(events.at(-1).response.output[0].content[0].text, answer);
    const response = await client.responses.stream(asked).finalResponse();
    deepEqual([response.status, response.output_text], ["completed", answer]);
  },

  async raw_response(at) {
    const { data, response } = await client.chat.completions.create({ model: `${at}/m`, messages }).withResponse();
    equal(response.headers.get("x-ai-gateway-target"), targets[at]);
    ok(response.headers.get("x-request-id"));
    equal(data._request_id, response.headers.get("x-request-id"));
  },

  async failover(at) {
    for (const streamed of [false, true]) {
      const asked = { model: `${at}-tier`, messages, stream: streamed };
      const { data, response } = await alone.chat.completions.create(asked).withResponse();
      equal(response.headers.get("x-ai-gateway-target"), targets[at]);
      if (streamed) checkChunks(await listed(data));
    }
  },

  async error_authentication(at) {
    const stranger = client.withOptions({ apiKey: "canary-wrong-token" });
    for (const make of [
      () => stranger.chat.completions.create({ model: `${at}/m`, messages }),
      () => stranger.chat.completions.create({ model: `${at}/m`, messages, stream: true }),
      () => stranger.models.list(),
    ]) {
      checkError(await raised(OpenAI.AuthenticationError, make), 401, "invalid_request_error", "invalid_api_key");
    }
  },

  async error_not_found(at) {
    for (const [make, code] of [
      [() => client.chat.completions.create({ model: `no-${at}/m`, messages }), "model_not_found"],
      [() => client.models.retrieve(`${at}/nothing`), "model_not_found"],
      [() => client.files.list(), "unknown_url"],
    ]) {
      const error = await raised(OpenAI.NotFoundError, make);
      deepEqual([error.status, error.code], [404, code]);
    }
  },

  async error_bad_request(at) {
    const tool_choice = { type: "function", function: { name: "other" } };
    for (const [param, fields] of [
      ["temperature", { temperature: 3 }],
      ["tool_choice", { tools, tool_choice }], // this one only the upstream finds
    ]) {
      const make = () => client.chat.completions.create({ model: `${at}/m`, messages, ...fields });
      checkError(await raised(OpenAI.BadRequestError, make), 400, "invalid_request_error", null, param);
    }
  },

  async error_rate_limit(at) {
    for (const streamed of [false, true]) {
      const asked = { model: `${at}-limited/m`, messages, stream: streamed };
      const error = await raised(OpenAI.RateLimitError, () => alone.chat.completions.create(asked));
      checkError(error, 429, "rate_limit_exceeded", "rate_limit_exceeded");
      const seconds = Number(error.headers.get("retry-after"));
      ok(seconds >= 1 && seconds <= 30, `retry-after: ${seconds}`);
    }
  },

  async error_unavailable(at) {
    for (const streamed of [false, true]) {
      const asked = { model: `${at}-down/m`, messages, stream: streamed };
      const error = await raised(OpenAI.InternalServerError, () => alone.chat.completions.create(asked));
      checkError(error, 503, "server_error", "overloaded");
      ok(Number(error.headers.get("retry-after")) >= 1);
    }
  },

  // A stream that breaks after five tokens brings them, then throws.
  async error_in_stream(at) {
    const asked = { model: `${at}-cut/m`, stream: true };
    const finish = (c) => c.choices[0].finish_reason;
    const last = (e) => ["response.completed", "response.incomplete"].includes(e.type);
    for (const [create, piece, end] of [
      [() => client.chat.completions.create({ ...asked, messages }), (c) => c.choices[0].delta.content, finish],
      [() => client.completions.create({ ...asked, prompt: "Once" }), (c) => c.choices[0].text, finish],
      [() => client.responses.create({ ...asked, input: "Hello" }), (e) => e.delta, last],
    ]) {
      const items = [];
      const error = await raised(OpenAI.APIError, async () => {
        for await (const item of await create()) items.push(item);
      });
      deepEqual([error.code, error.type, error.param], ["upstream_error", "server_error", null]);
      deepEqual([items.filter(piece).length, items.filter(end).length], [5, 0]);
    }
    const helped = () => client.chat.completions.stream({ model: `${at}-cut/m`, messages }).finalChatCompletion();
    equal((await raised(OpenAI.APIError, helped)).code, "upstream_error");
  },

  // The upstream would be silent for two minutes; the client has other plans.
  async leave_stream(at) {
    await idle();
    const chunks = await stream({ model: `${at}-slow/m` });
    for await (const chunk of chunks) {
      if (!chunk.choices[0].delta.content) continue;
      ok((await active()).length > 0, "no call is under way during the stream");
      chunks.controller.abort();
    }
    await idle();
    await scenarios.chat(at);
  },

  async leave_timeout(at) {
    await idle();
    // A signal that fires in the middle of the stream ends it quietly.
    const chunks = await client.chat.completions.create(
      { model: `${at}-slow/m`, messages, stream: true },
      { signal: AbortSignal.timeout(500) },
    );
    deepEqual(finishes(await listed(chunks)), []);
    const hasty = client.withOptions({ maxRetries: 0, timeout: 100 });
    const make = () => hasty.chat.completions.create({ model: `${at}-slow/m`, messages });
    await raised(OpenAI.APIConnectionTimeoutError, make);
    await idle();
    await scenarios.chat(at);
  },
};

await run(scenarios);
