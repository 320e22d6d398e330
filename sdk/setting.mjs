// What scenarios.mjs and agents.mjs have in common: where the gateway is, what it is
// asked, and how scenarios are run.
//
// Each scenario runs against the providers called near and far, and prints one
// line of JSON:
//
//	{"name":"near/chat","ok":true,"error":null}
//
// The variables of the environment come from sdk_test.go.

import OpenAI from "openai";
import { zodFunction } from "openai/helpers/zod";
import { z } from "zod";

export const { SDK_TOKEN_OTHER: otherKey, SDK_ANSWER: answer } = process.env;
const { SDK_URL: baseURL, SDK_TOKEN: apiKey } = process.env;
export const admins = process.env.SDK_ADMINS.split(" ");
export const targets = { near: "near/small", far: "far/steady/small" };

export const client = new OpenAI({ baseURL, apiKey });
export const alone = client.withOptions({ maxRetries: 0 });
// anybody has no token, and gets early keep-alives. There is nothing at its address
// where no agents are.
export const anybody = client.withOptions({ baseURL: baseURL.replace(/\/v1$/, "/open/v1"), apiKey: "none" });

export const messages = [{ role: "user", content: "Hello, grüß dich 👋" }];
export const withUsage = { stream_options: { include_usage: true } };
export const stream = (asked) => client.chat.completions.create({ messages, stream: true, ...asked });

export const weather = z.object({ city: z.string(), unit: z.enum(["celsius", "fahrenheit"]), days: z.number().int() });
export const tools = [zodFunction({ name: "get_weather", description: "The weather of a city", parameters: weather })];

export const route = z.object({
  mode: z.enum(["ferry", "train"]),
  stops: z.array(z.object({ name: z.string(), minutes: z.number().int() })),
  direct: z.boolean(),
  remark: z.string().nullable(),
});

export async function run(scenarios) {
  for (const at of Object.keys(targets)) {
    for (const [name, scenario] of Object.entries(scenarios)) {
      let error = null;
      try {
        await scenario(at);
      } catch (e) {
        error = e.stack ?? String(e);
      }
      console.log(JSON.stringify({ name: `${at}/${name}`, ok: error === null, error }));
    }
  }
}
