import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { writeFiles } from './gateway-process.ts';

/** A gateway whose plugins are reloaded while it is asked. */
export interface ReloadTarget {
  readonly url: string;
  /** Its working directory, with a folder `plugins`. */
  readonly dir: string;
  readonly adminKey: string;
}

export interface ReloadRun {
  readonly reloads: number;
  /** Every so many reloads bring a version that cannot start. */
  readonly brokenEvery: number;
  readonly clients: number;
  /** Called after each reload with its number, from 1. */
  readonly onReload?: (count: number) => Promise<void>;
}

/** What came of a run. */
export interface ReloadTally {
  readonly requests: number;
  readonly streams: number;
  readonly reloaded: number;
  readonly rolledBack: number;
  /** Answers that did not come, or not whole. */
  readonly lost: readonly string[];
  /** Answers of more than one version. */
  readonly mixed: readonly string[];
}

/**
 * The plugin under test: two helper modules carry the version, and every answer has both. Its hooks write one of them
 * into a chat's request and the other into each chunk of the answer.
 */
export function versionedPlugin(version: number, startup = ''): Record<string, string> {
  const kilobytes = `export const ballast = ${JSON.stringify(`${version} `.repeat(4_000))};\n`;
  return {
    'plugins/versioned/package.json': JSON.stringify({ type: 'module', version: `${version}.0.0` }),
    'plugins/versioned/lib/first.js': `${kilobytes}export const first = '${version}';\n`,
    'plugins/versioned/lib/second.js': `import { first } from './first.js';\nexport const second = '${version}';\nexport const pair = () => \`\${first}/\${second}\`;\n`,
    'plugins/versioned/index.js': `
      import { first } from './lib/first.js';
      import { pair, second } from './lib/second.js';
      export default {
        metadata: { name: 'versioned', version: '${version}.0.0', capabilities: ['ROUTES', 'MIDDLEWARE'] },
        startup(app) {
          ${startup}
          app.get('/versioned', (_req, res) => { res.send(pair()); });
          app.get('/versioned/stream', (_req, res) => {
            res.setHeader('content-type', 'text/event-stream');
            let left = 8;
            const timer = setInterval(() => {
              res.write('data: ' + pair() + '\\n\\n');
              if (--left > 0) return;
              clearInterval(timer);
              res.end('data: [DONE]\\n\\n');
            }, 10);
          });
          app.llm({
            onRequest: ({ body }) => ({ body: { ...body, messages: [{ role: 'user', content: (first + ' ').repeat(12).trim() }] } }),
            onChunk: (_request, event) =>
              event.type === 'text' ? { ...event, text: event.text.replaceAll(/\\d+/g, (word) => word + '/' + second) } : event,
          });
        },
      };`,
  };
}

/** Longest pause of a client between two requests. */
const PAUSE_MS = 200;

/** Keeps asking while versions are exchanged; resolves when the last answer is there. */
export async function runReloads(target: ReloadTarget, run: ReloadRun): Promise<ReloadTally> {
  const tally = {
    requests: 0,
    streams: 0,
    reloaded: 0,
    rolledBack: 0,
    lost: [] as string[],
    mixed: [] as string[],
  };
  let isOver = false;
  const clients = Array.from({ length: run.clients }, async (_, index) => {
    const ask = ASKS[index % ASKS.length] ?? askRoute;
    while (!isOver) {
      try {
        const versions = await ask(target.url);
        tally.requests++;
        if (ask !== askRoute) tally.streams++;
        if (new Set(versions).size !== 1) tally.mixed.push(versions.join());
        await delay(randomInt(PAUSE_MS)); // the clients share the machine with the gateway
      } catch (error) {
        tally.lost.push(String(error));
      }
    }
  });
  try {
    await reloadAll(target, run, tally);
  } finally {
    isOver = true;
    await Promise.all(clients);
  }
  return tally;
}

async function reloadAll(
  target: ReloadTarget,
  { reloads, brokenEvery, onReload }: ReloadRun,
  tally: { reloaded: number; rolledBack: number },
): Promise<void> {
  let current = '1/1';
  for (let count = 1; count <= reloads; count++) {
    const isBroken = count % brokenEvery === 0;
    writeFiles(target.dir, versionedPlugin(count + 1, isBroken ? 'throw new Error("broken");' : ''));
    const response = await fetch(`${target.url}/admin/plugins/reload`, {
      method: 'POST',
      headers: { authorization: `Bearer ${target.adminKey}` },
    });
    assert.equal(response.status, isBroken ? 422 : 200, await response.text());
    if (isBroken) tally.rolledBack++;
    else tally.reloaded++;
    if (!isBroken) current = `${count + 1}/${count + 1}`;
    assert.equal(await (await fetch(`${target.url}/versioned`)).text(), current);
    await onReload?.(count);
    await delay(randomInt(5)); // so that swaps meet streams at every point
  }
}

/** Each resolves to all versions that its answer shows, and rejects when the answer is not whole. */
const ASKS = [askRoute, askStream, askRoute, askChat] as const;

async function askRoute(url: string): Promise<string[]> {
  const response = await fetch(`${url}/versioned`);
  if (response.status !== 200) throw new Error(`route: ${response.status} ${await response.text()}`);
  return (await response.text()).split('/');
}

async function askStream(url: string): Promise<string[]> {
  const response = await fetch(`${url}/versioned/stream`);
  const events = eventsOf(await response.text());
  if (response.status !== 200 || events.length !== 8)
    throw new Error(`stream: ${response.status}, ${events.length} events`);
  return events.flatMap((event) => event.split('/'));
}

async function askChat(url: string): Promise<string[]> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"echo","stream":true,"messages":[{"role":"user","content":"x"}]}',
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`chat: ${response.status} ${text}`);
  const chunks = eventsOf(text).map((event) => JSON.parse(event) as Chunk);
  const said = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? '')).join('');
  const words = said.split(/\s+/).filter((word) => word !== '');
  if (words.length !== 12) throw new Error(`chat: ${words.length} words`);
  return words.flatMap((word) => word.split('/'));
}

interface Chunk {
  readonly choices: readonly { readonly delta: { readonly content?: string } }[];
}

/** The data of the events but the last, `[DONE]`, without which the stream is not whole. */
function eventsOf(text: string): string[] {
  const events = text.split('\n\n').flatMap((event) => /^data: (.*)$/m.exec(event)?.[1] ?? []);
  if (events.pop() !== '[DONE]') throw new Error('the stream broke off');
  return events;
}
