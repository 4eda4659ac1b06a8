import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { inspectPlugin, pluginFile, WITH_ADMIN } from './support.ts';

const ATTACKER = readFileSync(join(import.meta.dirname, '../isolation/fixtures/attacks/index.mjs'), 'utf8');
const CONNECTIONS = 50;
const PAUSE_MS = 100;
/** Wrong answers that are kept to be shown. */
const FEW = 5;

const ENV = {
  ...WITH_ADMIN,
  LLMROUTER_PLUGINS_ISOLATION: 'process,innocent=inline',
  LLMROUTER_PLUGINS_CALL_TIMEOUT_MS: '8000',
  // A process that has to wait for its turn on a busy machine does not stand still.
  LLMROUTER_PLUGINS_STALL_TIMEOUT_MS: '1500',
  LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '100000',
  LLMROUTER_PLUGINS_MEMORY_LIMIT: '192',
  SECRET_OF_THE_GATEWAY: 'do-not-tell',
};

const FILES = {
  '.env': 'SECRET_IN_A_FILE=do-not-tell\n',
  'plugins/attacker/index.mjs': ATTACKER,
  'plugins/innocent/index.mjs': pluginFile({
    metadata: { name: 'innocent', capabilities: ['ROUTES'] },
    startup(app) {
      app.get('/innocent/:n', (req, res) => {
        res.json({ n: req.params.n, clean: !('polluted' in {}) });
      });
    },
  }),
};

/** What ends the plugin's process, and what must be the cause that the log gives: each group in a gateway of its own. */
const FATAL: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  'a loop': {
    loop: /stood still/,
    'microtask-loop': /stood still/,
    regex: /stood still/,
    native: /stood still/,
  },
  memory: {
    // A heap that is nearly full is collected without end: the loop may stand still before the limit is reached.
    heap: /memory|ended by SIG|exited with code|stood still/,
    buffers: /memory|ended by SIG|exited with code|stood still/,
    leak: /has \d+ MiB of memory, expected at most 192/,
  },
  exiting: {
    exit: /exited with code 0/,
    abort: /ended by SIG|exited with code/,
    globals: /exited with code 9/,
  },
  'a broken channel': {
    rubbish: /frame/,
    'no-json': /no JSON/,
    'huge-message': /frame of 1073741824 bytes/,
  },
  'a full channel': {
    flood: /messages within a second|no level|stood still/,
    output: /stood still/,
  },
};

/** What ends it or not, as the machine goes: it serves again in the end. */
const HEAVY: Readonly<Record<string, (gateway: GatewayProcess) => Promise<void>>> = {
  'a gigabyte, streamed, to a client that does not read': ({ url }) =>
    abandonedDownload(`${url}/attack/large`),
  'a gigabyte at once': async (gateway) => {
    const response = await ask(gateway, 'large-at-once').catch(() => null);
    await response?.text().catch(() => undefined);
  },
  'a hundred thousand calls at once': async (gateway) => {
    await ask(gateway, 'calls').catch(() => undefined);
  },
};

/** What does not end it, and what it gets. `null`: a failure of the call alone. */
const HARMLESS: Readonly<Record<string, unknown>> = {
  throws: null,
  'throws-late': { got: 'thrown later' },
  'fork-bomb': { got: ['ERR_ACCESS_DENIED', 'ERR_ACCESS_DENIED', 'ERR_ACCESS_DENIED'] },
  priority: { got: true },
  'other-environment': { refused: 'ERR_ACCESS_DENIED' },
  'dial?host=127.0.0.1&port=%PORT': { got: 'ERR_ACCESS_DENIED' },
  'dial?host=169.254.169.254&port=80': { got: 'ERR_ACCESS_DENIED' },
  'dot-env?path=%DIR/.env': { refused: 'ERR_ACCESS_DENIED' },
  'write?path=%DIR/written': { refused: 'ERR_ACCESS_DENIED' },
  'write?path=%DIR/plugins/attacker/index.mjs': { refused: 'ERR_ACCESS_DENIED' },
};

describe('attacks out of a process of its own', () => {
  test('that fail are the failure of the call alone', async (t) => {
    const gateway = await startGateway(t, { env: ENV, files: FILES });
    const fill = (text: string): string =>
      text.replaceAll('%DIR', gateway.dir).replaceAll('%PORT', new URL(gateway.url).port);
    await besideInnocents(gateway, async () => {
      for (const [attack, expected] of Object.entries(HARMLESS)) {
        await t.test(attack, async () => {
          const response = await ask(gateway, fill(attack));
          assert.equal(response.status, expected === null ? 500 : 200);
          if (expected !== null) assert.deepEqual(await response.json(), expected);
        });
      }
      assert.equal(existsSync(join(gateway.dir, 'written')), false);
      await t.test('environment', async () => {
        const { got } = (await (await ask(gateway, 'environment')).json()) as { got: Record<string, string> };
        assert.doesNotMatch(JSON.stringify(got), /do-not-tell|LLMROUTER/);
      });
      await t.test('object-prototype', async () => {
        await ask(gateway, 'object-prototype');
        assert.deepEqual(await (await fetch(`${gateway.url}/innocent/1`)).json(), { n: '1', clean: true });
      });
    });
    assert.ok(readFileSync(join(gateway.dir, '.env'), 'utf8').includes('SECRET_IN_A_FILE'));
  });

  for (const [kind, attacks] of Object.entries(FATAL)) {
    test(`by ${kind} end the process of the plugin alone`, async (t) => {
      const gateway = await startGateway(t, { env: ENV, files: FILES });
      await besideInnocents(gateway, async () => {
        for (const [attack, cause] of Object.entries(attacks)) {
          await t.test(attack, async () => {
            const ended = endings(gateway).length;
            const response = await ask(gateway, attack).catch(() => null);
            if (response !== null && response.status !== 200)
              assert.match(await response.text(), /plugin_error|plugin_timeout/);
            await gateway.logged((line) => isEnding(line) && endings(gateway).length > ended);
            assert.match(String(endings(gateway)[ended]?.cause), cause);
            await isBack(gateway);
          });
        }
      });
    });
  }

  test('by sheer size hurt the plugin alone', async (t) => {
    const gateway = await startGateway(t, { env: ENV, files: FILES });
    await besideInnocents(gateway, async () => {
      for (const [attack, run] of Object.entries(HEAVY)) {
        await t.test(attack, async () => {
          await run(gateway);
          await isBack(gateway);
        });
      }
    });
  });

  test('a plugin that keeps ending is quarantined, and is shut out until its trial', async (t) => {
    const env = { ...ENV, LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '3' };
    const gateway = await startGateway(t, { env, files: FILES });
    for (let i = 0; i < 3; i++) await ask(gateway, 'exit');
    await gateway.logged(({ event, to }) => event === 'plugin_transition' && to === 'quarantined');
    const response = await ask(gateway, 'alive');
    assert.equal(response.status, 503);
    assert.match(await response.text(), /plugin_quarantined/);
    assert.ok(Number(response.headers.get('retry-after')) > 0);
    assert.equal(await gateway.stop(), 0);
  });

  test('many calls under way are one failure when the process ends', async (t) => {
    const gateway = await startGateway(t, { env: ENV, files: FILES });
    const waiting = Array.from({ length: 20 }, () => ask(gateway, 'microtask-loop'));
    const answers = await Promise.all(waiting);
    for (const answer of answers) assert.equal(answer.status, 500);
    await isBack(gateway);
    assert.equal((await inspectPlugin(gateway, 'attacker')).failures.total, 1);
    assert.equal(await gateway.stop(), 0);
  });
});

function ask(gateway: GatewayProcess, attack: string): Promise<Response> {
  return fetch(`${gateway.url}/attack/${attack}`);
}

function isEnding({ event }: Readonly<Record<string, unknown>>): boolean {
  return event === 'plugin_process_ended';
}

function endings(gateway: GatewayProcess): readonly Readonly<Record<string, unknown>>[] {
  return gateway.log.filter(isEnding);
}

/** Asks until the plugin serves; the gateway itself has to answer each time. */
async function isBack(gateway: GatewayProcess): Promise<void> {
  for (;;) {
    const response = await ask(gateway, 'alive');
    const body = (await response.json()) as Record<string, unknown>;
    if (response.status === 200) {
      assert.equal(body.alive, true);
      return;
    }
    // A call that waits for the new process may reach its own limit first, on a busy machine.
    assert.match((body.error as { code: string }).code, /^plugin_(error|timeout)$/);
  }
}

/** While `attack` runs fifty clients ask another plugin, and all get what they asked for. */
async function besideInnocents(gateway: GatewayProcess, attack: () => Promise<void>): Promise<void> {
  const innocents = new Innocents(gateway);
  try {
    await attack();
  } finally {
    await innocents.stop();
  }
  assert.deepEqual(innocents.wrong, []);
  assert.equal((await inspectPlugin(gateway, 'innocent')).failures.total, 0);
  assert.equal(await gateway.stop(), 0);
}

/** Leaves after the first byte, without having read on. */
function abandonedDownload(url: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const request = get(url, (response) => {
    response.once('readable', () => {
      request.destroy();
      resolve();
    });
  });
  request.on('error', () => undefined);
  return promise;
}

/** Fifty connections that ask another plugin all the time. */
class Innocents {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  readonly #loops: Promise<void>[];
  readonly wrong: string[] = [];
  #stopped = false;

  constructor({ url }: GatewayProcess) {
    this.#loops = Array.from({ length: CONNECTIONS }, (_, n) =>
      this.#loop(`${url}/innocent/${n}`, String(n)),
    );
  }

  /** When each has asked once more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
    this.#agent.destroy();
  }

  async #loop(url: string, n: string): Promise<void> {
    for (let isLast = false; !isLast; ) {
      isLast = this.#stopped;
      const answer = await this.#get(url);
      const isWrong = answer !== JSON.stringify({ n, clean: true });
      if (isWrong && this.wrong.length < FEW) this.wrong.push(answer);
      // So many connections at full speed would leave nothing for the attacks on a small machine.
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  #get(url: string): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    get(url, { agent: this.#agent }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
      response.on('error', (error) => resolve(String(error)));
    }).on('error', (error) => resolve(String(error)));
    return promise;
  }
}
