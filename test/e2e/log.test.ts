import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { spawnGateway, startGateway } from '../support/gateway-process.ts';
import { chat, pluginFile } from './support.ts';

/** Would be lines of their own, or move a terminal's cursor, or reorder what is read. */
const FORGED = [
  '\n{"level":"info","message":"forged","event":"forged"}\n',
  '\r\n{"event":"forged"}',
  '","event":"forged","x":"',
  '\u001b[2J\u001b[1;1Hforged',
  '\u2028{"event":"forged"}\u2029',
  '\u202eforged',
  '\u0085{"event":"forged"}\u0000',
];

const SCRIBE = pluginFile({
  metadata: { name: 'scribe', capabilities: ['ROUTES', 'MIDDLEWARE'] },
  startup(app, { logger }) {
    app.llm({
      onRequest({ model, body }) {
        logger.warn(`model ${model}`, { model, [model]: body });
      },
    });
    app.get('/scribe', (req, res) => {
      const text = String(req.query.text);
      const circular: Record<string, unknown> = { text };
      circular.self = circular;
      logger.info(text, {
        text,
        circular,
        [text]: text,
        level: 'forged',
        message: 'forged',
        plugin: 'forged',
        requestId: 'forged',
        ts: text,
        big: 10n,
        error: new Error(text),
        toJSON: () => ({ event: 'forged' }),
        get trap() {
          throw new Error(text);
        },
      });
      logger.error(new Error(text));
      logger.child({ plugin: text }).info('child');
      res.json({});
    });
    app.get('/scribe/throws', (req) => {
      throw Object.assign(new Error(String(req.query.text)), { code: req.query.text });
    });
  },
});

for (const format of ['json', 'pretty']) {
  test(`the log tells the URL to ask, format ${format}`, async (t) => {
    const gateway = spawnGateway(t, { env: { LLMROUTER_LOG_FORMAT: format } });
    const { message, text } = await gateway.logged((line) => /http:/.test(`${line.message} ${line.text}`));
    const [url] = /http:\/\/127\.0\.0\.1:[1-9]\d*/.exec(`${message} ${text}`) ?? [];
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
  });
}

test('nothing from a client or a plugin can forge a log line', async (t) => {
  const gateway = await startGateway(t, {
    env: { LLMROUTER_LOG_LEVEL: 'silly', LLMROUTER_DEBUG: 'true', LLMROUTER_LOG_FORMAT: 'json' },
    files: { 'plugins/scribe.mjs': SCRIBE },
  });
  for (const forged of FORGED) {
    const query = encodeURIComponent(forged);
    await (await fetch(`${gateway.url}/scribe?text=${query}`)).text();
    await (await fetch(`${gateway.url}/scribe/throws?text=${query}`)).text();
    await (
      await fetch(`${gateway.url}/nowhere/${query}?${query}`, { headers: { 'x-request-id': query } })
    ).text();
    assert.equal((await chat(gateway, { model: forged, user: forged })).status, 404);
  }
  const ids = ['a b', '"x"', '{}', 'x'.repeat(129), 'é'];
  for (const id of ids) {
    const answer = await fetch(`${gateway.url}/healthz`, { headers: { 'x-request-id': id } });
    assert.notEqual(answer.headers.get('x-request-id'), id);
  }
  const sane = await fetch(`${gateway.url}/healthz`, { headers: { 'x-request-id': 'trace-1.a:b_c' } });
  assert.equal(sane.headers.get('x-request-id'), 'trace-1.a:b_c');
  for (const raw of [
    'GET /\n{"event":"forged"} HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\n{"event":"forged"}\r\n\r\n',
    '{"event":"forged"}\r\n\r\n',
  ]) {
    await sendRaw(gateway.url, raw);
  }
  assert.equal(await gateway.stop(), 0);

  assert.equal(gateway.stderr(), '');
  const told = gateway.lines.filter((line) => line.includes('forged'));
  assert.ok(told.length >= 3 * FORGED.length, 'the plugin has logged');
  for (const line of gateway.lines) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
    const { ts, level, message, event, plugin, requestId } = JSON.parse(line) as Record<string, unknown>;
    assert.match(String(ts), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.match(String(level), /^(error|warn|info|http|verbose|debug|silly)$/);
    assert.equal(typeof message, 'string');
    assert.notEqual(event, 'forged', line);
    assert.ok(plugin === undefined || plugin === 'scribe', line);
    assert.notEqual(requestId, 'forged', line);
  }
});

async function sendRaw(url: string, bytes: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.resume();
  socket.write(bytes);
  await once(socket, 'close');
}
