import { GatewayError } from '../../errors.ts';
import type { ToolsPhase } from '../../pipeline/types.ts';
import type { Identity } from '../../plugin-api/auth.ts';
import type { Tool } from '../../plugin-api/tools.ts';
import type { RequestScope } from '../../request-scope.ts';
import { isObject, type JsonObject } from '../json-value.ts';
import type { Surface } from '../surface/surface.ts';
import {
  addUsage,
  callsIn,
  type ModelCall,
  nextRequest,
  ownTools,
  type Ran,
  toText,
  withoutCalls,
  withTools,
  withUsage,
} from './chat-tools.ts';
import { nameForModel } from './offered-tools.ts';
import type { Kept, RoundAnswer } from './round-answer.ts';
import { ShownStream } from './shown-stream.ts';

/** The header with which a client has the gateway run tools. Its one value is `auto`. */
export const TOOLS_HEADER = 'x-llmrouter-tools';

/** How far the gateway goes for one request. */
export interface ToolLoopLimits {
  /** Rounds in which tools are run. */
  readonly maxRounds: number;
  /** From the first round on, in milliseconds. No round begins later, and running tools are aborted. */
  readonly timeoutMs: number;
}

export interface ToolLoopInput {
  readonly id: string;
  readonly scope: RequestScope | null;
  readonly surface: Surface;
  readonly identity: Identity | null;
  readonly tools: ToolsPhase;
  readonly answer: RoundAnswer;
  readonly limits: ToolLoopLimits;
  /** How often a client that waits for a stream hears that it is not forgotten. Milliseconds. */
  readonly keepAliveMs: number;
  /** The client's request. */
  readonly request: JsonObject;
  /** Serves a round: a call of its own, with all hooks and evaluators, whose answer `answer` keeps. */
  readonly serve: (request: JsonObject) => Promise<void>;
}

/**
 * Whether a request wants its tools to be run.
 *
 * @throws GatewayError `invalid_request`, for another value than `auto`, and on a surface where no tools are run
 */
export function assertToolsHeader(value: string | string[] | undefined, surface: Surface): void {
  if (value !== 'auto') throw refused(`got ${JSON.stringify(value)}, expected "auto"`);
  if (surface.name !== 'chat.completions') throw refused(`tools are not run for ${surface.path}`);
}

/**
 * Adds the gateway's tools to a chat request, runs the calls that the model asks for, and asks again, until the model
 * has its answer, wants a tool of the client's, or a limit is reached. The client gets the last round's answer with the
 * usage of all rounds; streamed, it gets what the model says in every round, as it comes.
 *
 * @throws GatewayError `invalid_request`
 */
export async function runTools(input: ToolLoopInput): Promise<void> {
  const { request, answer } = input;
  if (typeof request.n === 'number' && request.n > 1) {
    throw new GatewayError('invalid_request', 'The parameter "n" must be 1 where tools are run', {
      param: 'n',
    });
  }
  const own = ownTools(request);
  const tools = nameForModel(await input.tools.list(input.identity), own);
  if (tools.size === 0) {
    answer.passOn();
    return input.serve(request);
  }
  const { stream } = input.surface;
  if (request.stream === true && stream !== null) answer.show(new ShownStream(stream, request, own));
  const signal = AbortSignal.any([answer.left, AbortSignal.timeout(input.limits.timeoutMs)]);
  let usage: unknown;
  let next = withTools(request, tools);
  for (let round = 0; ; round++) {
    answer.beginRound();
    await input.serve(next);
    const kept = answer.take();
    if (kept === null) return;
    const said = readAnswer(kept);
    if (said === null) return answer.pass(kept);
    usage = addUsage(usage, said.usage);
    const calls = callsIn(said);
    const isOver = round >= input.limits.maxRounds || signal.aborted;
    if (calls.length === 0 || isOver || calls.some(({ name }) => own.has(name))) {
      return answer.finish(kept, withUsage(settle(said, calls, own), usage));
    }
    answer.keepAwake(input.keepAliveMs);
    answer.beginWait();
    const ran = await Promise.all(calls.map((call) => runOne(input, tools, call, signal)));
    answer.endWait();
    next = nextRequest(next, said, ran);
  }
}

/** What is left of the last answer for a client, which knows its own tools alone. */
function settle(said: JsonObject, calls: readonly ModelCall[], own: ReadonlySet<string>): JsonObject {
  // As for an answer that has become too long: the model would have gone on.
  return calls.length === 0 ? said : withoutCalls(said, ({ name }) => !own.has(name), 'length');
}

/** A call that cannot be made is a result too: the model can do better. */
async function runOne(
  { id, scope, identity, tools }: ToolLoopInput,
  offered: ReadonlyMap<string, Tool>,
  call: ModelCall,
  signal: AbortSignal,
): Promise<Ran> {
  const args = readArguments(call.text);
  if (args === null) return { call, text: 'The arguments are no JSON object' };
  const name = offered.get(call.name)?.name;
  if (name === undefined) return { call, text: `There is no tool "${call.name}"` };
  const result = await untilAborted(tools.call(name, args, { id, identity, signal }, scope), signal);
  return { call, text: result === null ? `The tool "${call.name}" took too long` : toText(result) };
}

/** A tool need not heed its signal. Resolves to `null` when it is late. */
function untilAborted<T>(result: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) return Promise.resolve(null);
  const { promise, resolve } = Promise.withResolvers<null>();
  const give = (): void => resolve(null);
  signal.addEventListener('abort', give, { once: true });
  return Promise.race([result, promise]).finally(() => signal.removeEventListener('abort', give));
}

/** A model that takes no arguments may say nothing at all. */
function readArguments(text: string): JsonObject | null {
  return text.trim() === '' ? {} : parseObject(text);
}

function readAnswer(kept: Kept): JsonObject | null {
  if (kept.kind === 'error') return null;
  return kept.kind === 'json' ? parseObject(kept.body.toString()) : kept.body;
}

function parseObject(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function refused(what: string): GatewayError {
  return new GatewayError('invalid_request', `The header ${TOOLS_HEADER} cannot be followed: ${what}`, {
    param: TOOLS_HEADER,
  });
}
