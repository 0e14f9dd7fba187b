// The whole life of a batch through the real openai-node; prints what it saw as one JSON document.
// Arguments: the base URL of a fake API, and a file of requests.
import fs from "node:fs";
import OpenAI, { toFile } from "openai";

const [baseURL, input] = process.argv.slice(2);
const client = new OpenAI({ apiKey: "sk-any", baseURL, maxRetries: 0 });
const control = async (name, asked = {}) => {
  const root = baseURL.replace(/\/v1$/, "");
  const answer = await fetch(`${root}/batchfsm/${name}`, { method: "POST", body: JSON.stringify(asked) });
  return answer.json();
};
const refused = async (promise) => {
  try {
    await promise;
    return null;
  } catch (error) {
    return [error.constructor.name, error.status ?? null];
  }
};

const file = await client.files.create({ file: await toFile(fs.createReadStream(input), "in.jsonl"), purpose: "batch" });
const fields = { endpoint: "/v1/embeddings", completion_window: "24h" };
let batch = await client.batches.create({ input_file_id: file.id, metadata: { team: "search" }, ...fields });
const seen = [batch];
while (batch.status !== "completed") {
  await control("advance", { span: "20m" });
  batch = await client.batches.retrieve(batch.id);
  seen.push(batch);
}
const output = await (await client.files.content(batch.output_file_id)).text();

const asked = await client.batches.create({ input_file_id: file.id, ...fields });
const cancelling = await client.batches.cancel(asked.id);
await control("advance", { span: "11m" });
const cancelled = await client.batches.retrieve(asked.id);

const listed = [];
for await (const each of client.batches.list({ limit: 1 })) listed.push(each.id);

const errors = [
  await refused(client.batches.retrieve("batch_none")),
  await refused(client.batches.cancel(batch.id)),
  await refused(client.batches.list({ limit: 101 })),
];
for (const fault of ["rate_limit", "bad_gateway", "reset"]) {
  await control("inject", { fault });
  errors.push(await refused(client.batches.retrieve(batch.id)));
}
console.log(JSON.stringify({ file, seen, output, cancel: [asked, cancelling, cancelled], listed, errors }));
