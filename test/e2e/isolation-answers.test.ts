import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type Cleanup, type LogLine, startGateway } from '../support/gateway-process.ts';
import { chat } from './support.ts';

/**
 * What the plugin answers, by name. Each part of it (a hook, an evaluator, …) answers what the request's `user` says,
 * as `part:name`.
 */
const PLUGIN = `
const ANSWERS = {
  nothing: () => undefined, function: () => () => 1, number: () => 5, object: () => ({}), list: () => [],
  emptyBody: () => ({ body: undefined }),
  withFunction: () => ({ id: 'a', f() {} }),
  noTicket: () => ({ ticket: undefined }), ticketFunction: () => ({ ticket() {} }), ticketBigInt: () => ({ ticket: 5n }),
  bodyList: () => ({ status: 200, headers: {}, body: ['{}'] }),
  bareObject: () => { throw { status: 403, message: 'not you' }; },
  bareStatus: () => { throw { status: 403 }; },
  borrowedCode: () => { throw Object.assign(new Error('no'), { status: 429, code: 'rate_limit_exceeded', type: 'x' }); },
};
const answers = (part, { body }) => {
  const [of, name] = String(body.user).split(':');
  return of === part ? ANSWERS[name]() : undefined;
};
const told = async (fn) => {
  try {
    return { value: await fn() };
  } catch (error) {
    return { type: error.constructor.name, message: error.message, cause: error.cause?.code ?? null };
  }
};
export default {
  metadata: {
    name: 'probe',
    capabilities: ['ROUTES', 'MIDDLEWARE', 'EVALUATOR', 'ROUTING_STRATEGY', 'AUTH_PROVIDER', 'TOOL_RUNTIME', 'PROVIDER'],
  },
  startup(app, context) {
    app.llm({
      onRequest: (request) => answers('onRequest', request),
      onChunk: (request, { type }) => (type === 'text' ? answers('onChunk', request) : undefined),
      onResponse: (request) => answers('onResponse', request),
    });
    app.evaluator({
      name: 'judge', mode: 'block',
      input: (request) => answers('input', request),
      output: (request) => answers('output', request),
    });
    app.routingStrategy('probe', {
      select: (request, [first]) => answers('select', request) ?? (request.body.user === 'select:nothing' ? undefined : first),
    });
    app.authProvider({
      name: 'keys',
      authenticate: (request) => {
        const [part, name] = (request.get('x-answer') ?? '').split(':');
        return part === 'authenticate' ? ANSWERS[name]() : { id: 'a', answer: part === 'reserve' ? name : null };
      },
      reserve: ({ identity }) => (identity.answer === null ? null : ANSWERS[identity.answer]()),
      settle: () => undefined,
    });
    app.toolRuntime({ listTools: () => [{ name: 'any' }], callTool: (_name, { answer }) => ANSWERS[answer]() });
    app.provider('probe', { chat: (request) => answers('chat', request) });
    const { fetch, storage, tools, logger } = context;
    const ASKED = {
      tool: ({ args }) => tools.call('any', JSON.parse(args)),
      store: async () => { await storage.set('key', { at: new Date(0) }); },
      compare: () => storage.compareAndSet('key', undefined, () => 1),
      fetch: async ({ url }) => (await fetch(url)).text(),
      integrity: async ({ url }) => (await fetch(url, { integrity: 'sha256-AAAA' })).text(),
      post: async ({ url }) => (await fetch(url, { method: 'POST', body: 'posted' })).text(),
      noOptions: async ({ url }) => (await fetch(url, null)).text(),
      log: () => { logger.info('told', { error: new Error('outer', { cause: new Error('inner') }) }); },
    };
    app.get('/ask/:what', async (req, res) => { res.json(await told(() => ASKED[req.params.what](req.query))); });
  },
};`;

const config = (upstream: string): string => `
model_list:
  - { model_name: m, litellm_params: { model: openai/m, api_base: '${upstream}/v1', api_key: none } }
  - { model_name: p, litellm_params: { model: probe/x } }
router_settings: { routing_strategy: probe, num_retries: 0, allowed_fails: 1000 }
`;

const COMPLETION = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
};

const WRONG = ['function', 'number', 'object'];
const SKIPPED = { status: 200, code: undefined };
const NO_VERDICT = { status: 503, code: 'evaluator_unavailable' };
const NOBODY = { status: 503, code: 'auth_unavailable' };

interface Answered {
  readonly phase: string;
  readonly answers: readonly string[];
  readonly expected: { readonly status: number; readonly code: string | undefined };
}

/** What becomes of a request when a part answers what it may not. */
const PARTS: Readonly<Record<string, Answered>> = {
  onRequest: { phase: 'hook', answers: [...WRONG, 'list', 'emptyBody'], expected: SKIPPED },
  onChunk: { phase: 'hook', answers: WRONG, expected: SKIPPED },
  onResponse: { phase: 'hook', answers: [...WRONG, 'list', 'emptyBody'], expected: SKIPPED },
  input: { phase: 'evaluator', answers: [...WRONG, 'list'], expected: NO_VERDICT },
  output: { phase: 'evaluator', answers: [...WRONG, 'list'], expected: NO_VERDICT },
  select: { phase: 'strategy', answers: [...WRONG, 'nothing'], expected: SKIPPED },
  authenticate: { phase: 'auth', answers: [...WRONG, 'list', 'nothing', 'withFunction'], expected: NOBODY },
  reserve: {
    phase: 'auth',
    answers: [...WRONG, 'nothing', 'noTicket', 'ticketFunction', 'ticketBigInt'],
    expected: NOBODY,
  },
  chat: {
    phase: 'provider',
    answers: [...WRONG, 'nothing', 'bodyList'],
    expected: { status: 502, code: 'upstream_error' },
  },
};

interface Told {
  readonly value?: unknown;
  readonly type?: string;
  readonly message?: string;
  readonly cause?: string | null;
}

for (const tier of ['inline', 'process'])
  test(`${tier}: what a plugin answers`, async (t) => {
    const at = await startUpstream(t);
    const gateway = await startGateway(t, {
      files: { 'plugins/probe/index.mjs': PLUGIN, 'gateway.yaml': config(at) },
      env: {
        LLMROUTER_PLUGINS_ISOLATION: tier,
        LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '100000',
        LLMROUTER_OUTBOUND_CIDR_ALLOWLIST: '127.0.0.0/8',
      },
    });
    const failureOf = (answer: Response): Promise<LogLine> =>
      gateway.logged(
        ({ event, requestId }) =>
          event === 'plugin_failure' && requestId === answer.headers.get('x-request-id'),
      );
    const ask = async (what: string, query: Readonly<Record<string, string>> = {}): Promise<Told> =>
      (await fetch(`${gateway.url}/ask/${what}?${new URLSearchParams(query)}`)).json() as Promise<Told>;

    for (const [part, { phase, answers, expected }] of Object.entries(PARTS))
      for (const name of answers)
        await t.test(`${part} that answers wrongly: ${name}`, async () => {
          const answer = await chat(gateway, {
            headers: { 'x-answer': `${part}:${name}` },
            model: part === 'chat' ? 'p' : 'm',
            user: `${part}:${name}`,
          });
          const { error } = (await answer.json()) as { error?: { code: string } };
          assert.deepEqual({ status: answer.status, code: error?.code }, expected);
          const failure = await failureOf(answer);
          assert.deepEqual([failure.phase, failure.kind], [phase, 'invalid']);
          assert.match((failure.error as Error).message, /^Plugin "probe": .* answered wrongly: ./);
        });

    for (const name of [...WRONG, 'nothing'])
      await t.test(`a tool that answers wrongly: ${name}`, async () => {
        const { value } = await ask('tool', { args: JSON.stringify({ answer: name }) });
        assert.deepEqual(value, toolError('The tool "any" failed'));
      });

    for (const args of ['5', 'null', '[]'])
      await t.test(`a tool is called with ${args} for its arguments`, async () => {
        const { value } = await ask('tool', { args });
        assert.deepEqual(
          value,
          toolError('Invalid arguments for the tool "any": the arguments must be object'),
        );
        assert.deepEqual(
          gateway.log.filter(({ event }) => event === 'plugin_process_ended'),
          [],
        );
      });

    await t.test('what is thrown that is no error is an answer all the same', async () => {
      for (const [name, message] of [
        ['bareObject', 'not you'],
        ['bareStatus', 'Request refused (403)'],
      ]) {
        const answer = await chat(gateway, { model: 'm', user: `onRequest:${name}` });
        const { error } = (await answer.json()) as { error: Record<string, unknown> };
        assert.deepEqual([answer.status, error.message, error.code], [403, message, 'permission_error']);
      }
    });

    await t.test('an error that borrows a code of the gateway is none of its', async () => {
      const { status } = await chat(gateway, { model: 'm', user: 'select:borrowedCode' });
      assert.equal(status, 200);
    });

    await t.test('the store takes JSON', async () => {
      assert.deepEqual(await ask('store'), {
        type: 'TypeError',
        message: 'value.at: expected JSON, saw an instance of Date',
        cause: null,
      });
      assert.deepEqual(await ask('compare'), {
        type: 'TypeError',
        message: 'value: expected JSON, saw a function',
        cause: null,
      });
    });

    await t.test('fetch fails as it does in a browser', async () => {
      const closed = await closedPort();
      assert.deepEqual(await ask('fetch', { url: `http://127.0.0.1:${closed}/` }), {
        type: 'TypeError',
        message: 'fetch failed',
        cause: 'ECONNREFUSED',
      });
      assert.deepEqual(await ask('fetch', { url: `${at}/cut` }), {
        type: 'TypeError',
        message: 'terminated',
        cause: 'UND_ERR_SOCKET',
      });
    });

    await t.test('fetch has its options checked', async () => {
      const { type, message } = await ask('integrity', { url: at });
      assert.deepEqual([type, message], ['TypeError', 'fetch: integrity is not supported']);
      assert.deepEqual(await ask('noOptions', { url: at }), { value: '' });
      assert.deepEqual(await ask('post', { url: at }), { value: 'posted' });
    });

    await t.test('errors in the log have neither stack nor cause', async () => {
      await ask('log');
      const { error } = await gateway.logged(({ message }) => message === 'told');
      assert.deepEqual(error, { name: 'Error', message: 'outer' });
    });
  });

/** A model, a connection that is cut, and an echo for everything else. Resolves to its origin. */
async function startUpstream(t: Cleanup): Promise<string> {
  const server = createServer((req, res) => {
    if (req.url === '/v1/chat/completions')
      res.setHeader('content-type', 'application/json').end(JSON.stringify(COMPLETION));
    else if (req.url === '/cut') res.writeHead(200, { 'content-length': 10 }).write('x', () => res.destroy());
    else req.pipe(res);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function toolError(text: string): object {
  return { content: [{ type: 'text', text }], isError: true };
}

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
