import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Pipeline } from '../../src/pipeline/types.ts';
import type { LlmRequest } from '../../src/plugin-api/llm.ts';
import type { GatewayRequest } from '../../src/wire/message.ts';
import { chat, deployment, post, routing, serve } from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import { COMPLETION, chatStream, json, type Script, startUpstream, stream } from '../support/upstream.ts';

/** Comes in several pieces. */
const LONG = { messages: [{ role: 'user', content: 'x "y" \\ é'.repeat(20_000) }] };

interface Watched {
  readonly url: string;
  /** The pieces that have come of bodies, as Node has made them. */
  readonly pieces: readonly Buffer[];
  /** Bodies as the upstream got them. */
  readonly sent: () => string[];
  /** Resolves when a call has come to its end. */
  readonly over: Promise<void>;
}

interface Setup {
  readonly scripts: readonly Script[];
  readonly model?: string;
  readonly isShared?: boolean;
  readonly pipeline?: Partial<Pick<Pipeline, 'strategies'>>;
}

async function gateway(
  t: TestContext,
  { scripts, model = 'gpt-4o', isShared = false, pipeline }: Setup,
): Promise<Watched> {
  const upstream = await startUpstream(...scripts);
  t.after(() => upstream.close());
  const pieces: Buffer[] = [];
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const { url } = await serve(t, {
    deployments: [deployment(upstream.url, { model })],
    routing: routing({ numRetries: 1, ...(pipeline === undefined ? {} : { strategy: 'mine' }) }),
    pipeline: emptyPipeline({ ...pipeline, export: () => resolve() }),
    before: (req) => {
      req.isShared = isShared;
      watch(req, pieces);
    },
  });
  return { url, pieces, over, sent: () => upstream.requests.map(({ body }) => String(body)) };
}

function watch(req: GatewayRequest, pieces: Buffer[]): void {
  const { push } = req;
  req.push = (piece: Buffer | null): boolean => {
    if (piece !== null) pieces.push(piece);
    return push.call(req, piece);
  };
}

/** Asks with a long body; resolves when its call is over. */
async function ask(
  { url, over }: Watched,
  fields: Record<string, unknown> = {},
  status = 200,
): Promise<void> {
  const response = await post(url, chat({ ...LONG, ...fields }));
  const text = await response.text();
  assert.equal(response.status, status, text);
  await over;
  await nextTurn();
}

function areFreed(pieces: readonly Buffer[]): boolean[] {
  // The last one may be too short to be worth it.
  return pieces.slice(0, -1).map(({ length }) => length === 0);
}

function assertFreed(pieces: readonly Buffer[], isFreed: boolean): void {
  assert.ok(pieces.length > 1);
  assert.deepEqual(new Set(areFreed(pieces)), new Set([isFreed]));
}

describe('the memory of a long body', () => {
  for (const [kind, script, fields] of [
    ['an answer', json(COMPLETION), {}],
    ['a stream', stream(chatStream(['one', ' two'])), { stream: true }],
  ] as const) {
    it(`is freed behind ${kind}`, async (t) => {
      const watched = await gateway(t, { scripts: [script] });
      await ask(watched, fields);
      assertFreed(watched.pieces, true);
      assert.deepEqual(watched.sent(), [chat({ ...LONG, ...fields })]);
    });
  }

  it("is freed when the model's name has been put in another one's place", async (t) => {
    const watched = await gateway(t, { scripts: [json(COMPLETION)], model: 'another-name' });
    await ask(watched);
    assertFreed(watched.pieces, true);
    assert.deepEqual(watched.sent(), [chat({ ...LONG, model: 'another-name' })]);
  });

  it('stays until the last attempt', async (t) => {
    const watched = await gateway(t, { scripts: [json({ error: {} }, 503), json(COMPLETION)] });
    await ask(watched);
    assertFreed(watched.pieces, true);
    assert.deepEqual(watched.sent(), [chat(LONG), chat(LONG)]);
  });

  it('is left alone when an attempt has broken off: its bytes may still be on their way', async (t) => {
    const broken: Script = (_request, _res, socket) => void socket.destroy();
    const watched = await gateway(t, { scripts: [broken, json(COMPLETION)] });
    await ask(watched);
    assertFreed(watched.pieces, false);
  });

  it('is left alone when a middleware has had the request', async (t) => {
    const watched = await gateway(t, { scripts: [json(COMPLETION)], isShared: true });
    await ask(watched);
    assertFreed(watched.pieces, false);
    assert.equal(String(Buffer.concat(watched.pieces)), chat(LONG));
  });
});

describe('the body that a strategy sees', () => {
  async function select(
    t: TestContext,
    look: (request: LlmRequest) => unknown,
    script: Script = json(COMPLETION),
    status = 200,
  ): Promise<LlmRequest> {
    const seen: LlmRequest[] = [];
    const strategy = {
      select: (request: LlmRequest) => {
        look(request);
        seen.push(request);
        return null;
      },
      observe: null,
    };
    const strategies = new Map([['mine', strategy]]);
    await ask(await gateway(t, { scripts: [script], pipeline: { strategies } }), {}, status);
    const [request] = seen;
    assert.ok(request !== undefined);
    return request;
  }

  it('stays when it has been looked at', async (t) => {
    const request = await select(t, ({ body }) => body);
    assert.deepEqual(request.body.messages, LONG.messages);
  });

  it('cannot be looked at for the first time when the call is over, and says so', async (t) => {
    const request = await select(t, ({ model }) => model);
    assert.throws(() => request.body, /read for the first time when its call was over/);
    assert.throws(() => request.text, /read for the first time when its call was over/);
  });

  it('can be looked at when the call has failed: somebody may still be at it', async (t) => {
    const request = await select(t, ({ model }) => model, json({ error: { message: 'no' } }, 400), 400);
    assert.deepEqual(request.body.messages, LONG.messages);
  });

  it('can be looked at for the first time when the strategy hears how the attempt has ended', async (t) => {
    for (const [script, fields] of [
      [json(COMPLETION), {}],
      [stream(chatStream(['one', ' two'])), { stream: true }],
    ] as const) {
      const { promise: looked, resolve } = Promise.withResolvers<unknown>();
      let request: LlmRequest | null = null;
      const strategy = {
        select: (asked: LlmRequest) => {
          request = asked;
          return null;
        },
        observe: () => resolve(request?.body.messages),
      };
      const strategies = new Map([['mine', strategy]]);
      await ask(await gateway(t, { scripts: [script], pipeline: { strategies } }), fields);
      assert.deepEqual(await looked, LONG.messages);
    }
  });
});
