// What scenarios expect.

import assert from "node:assert/strict";
import { once } from "node:events";
import { get } from "node:http";
import { json } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { admins, client, messages, stream, tools, weather } from "./setting.mjs";

const { equal, deepEqual, ok } = assert;

export async function listed(source) {
  const items = [];
  for await (const item of source) items.push(item);
  return items;
}

export const choicesOf = (chunks, index = 0) => chunks.flatMap((c) => c.choices).filter((c) => c.index === index);
export const textOf = (chunks, index = 0) => choicesOf(chunks, index).map((c) => c.delta.content ?? "").join("");
export const finishes = (chunks, index = 0) => choicesOf(chunks, index).map((c) => c.finish_reason).filter(Boolean);

// kindsOf returns in which order reasoning and content come, as r and c: rc for the
// one before the other.
export function kindsOf(chunks) {
  const kinds = choicesOf(chunks).map(({ delta }) => (delta.reasoning_content ? "r" : "") + (delta.content ? "c" : ""));
  return kinds.join("").replaceAll(/(.)\1+/g, "$1");
}

// raised returns the error that make must throw, of exactly this kind.
export async function raised(kind, make) {
  let result;
  try {
    result = await make();
  } catch (error) {
    equal(error.constructor, kind, `${error}`);
    return error;
  }
  assert.fail(`${kind.name} was not thrown: ${JSON.stringify(result)}`);
}

export function checkError(error, status, type, code, param = null) {
  deepEqual([error.status, error.type, error.code, error.param], [status, type, code, param]);
  ok(error.error.message);
  equal(error.requestID, error.headers.get("x-request-id"));
  ok(error.requestID);
}

export function checkUsage(usage) {
  ok(usage.prompt_tokens > 0 && usage.completion_tokens > 0);
  equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
}

// checkChunks checks a stream of one choice.
export function checkChunks(chunks, { finish = "stop", model = "small" } = {}) {
  ok(chunks.every((c) => c.object === "chat.completion.chunk"));
  deepEqual([...new Set(chunks.map((c) => c.model))], [model]);
  equal(new Set(chunks.map((c) => `${c.id} ${c.created}`)).size, 1);
  equal(chunks[0].choices[0].delta.role, "assistant");
  deepEqual(finishes(chunks), [finish]);
}

// checkAnswer checks what an agent says of the tool echo: its text, and nothing of
// how it was called.
export function checkAnswer(content, reasoning = "none") {
  assert.match(content, /^The tool answered: Echo: \w.*$/);
  ok(reasoning.trim(), "there is no reasoning");
  assert.doesNotMatch(content + reasoning, /[<>]|ACTION|FINAL_ANSWER|THOUGHT|OBSERVATION|tool_name|everything/);
}

// answerTool answers the calls of message and checks what the model makes of it,
// plain and streamed.
export async function answerTool(model, message, said = "small") {
  equal(message.tool_calls.length, 1);
  const [{ id, type, function: called }] = message.tool_calls;
  ok(id);
  deepEqual([type, called.name], ["function", "get_weather"]);
  weather.parse(JSON.parse(called.arguments));
  // A client sends back the fields of the API, not what its SDK has parsed.
  const call = { id, type, function: { name: called.name, arguments: called.arguments } };
  const asked = {
    model,
    tools,
    messages: [
      ...messages,
      { role: "assistant", tool_calls: [call] },
      { role: "tool", tool_call_id: id, content: "21 degrees, läuft" },
    ],
  };
  const completion = await client.chat.completions.create(asked);
  equal(completion.choices[0].finish_reason, "stop");
  const chunks = await listed(await stream(asked));
  checkChunks(chunks, { model: said });
  for (const text of [completion.choices[0].message.content, textOf(chunks)]) {
    ok(text.includes("21 degrees, läuft"), `the result is not in the answer: ${text}`);
  }
}

// active returns the providers that have calls under way or waiting, over all
// gateways. Caddy's admin API takes fetch for a browser and refuses it.
export async function active() {
  const calls = [];
  for (const admin of admins) {
    const request = get(`${admin}/ai_gateway/providers`, { signal: AbortSignal.timeout(10_000) });
    const [response] = await once(request, "response");
    equal(response.statusCode, 200);
    for (const p of await json(response)) if (p.active + p.waiting > 0) calls.push(`${admin}/${p.name}`);
  }
  return calls;
}

export async function busy() {
  const deadline = performance.now() + 10_000;
  for (; (await active()).length === 0; await pause(20)) {
    ok(performance.now() < deadline, "no call is under way");
  }
}

export async function idle() {
  const deadline = performance.now() + 10_000;
  for (let calls; (calls = await active()).length > 0; await pause(20)) {
    ok(performance.now() < deadline, `calls still under way: ${calls}`);
  }
}
