import type { Pool } from 'undici';
import type { DeploymentConfig } from '../../config/types.ts';
import { toError } from '../../errors.ts';
import type { LlmSurface } from '../../plugin-api/llm.ts';
import { addTrace } from '../../wire/trace-context.ts';
import type { Surface } from '../surface/surface.ts';
import { unreachable } from './failure.ts';
import { addClientHeaders, addVersion } from './headers.ts';
import type { HttpApi } from './http-api.ts';
import type { Pools } from './pools.ts';
import { createRedact, type Redact, secretsOf } from './redact.ts';
import { createTimeouts, deadlinesFor, type Timeouts } from './timeouts.ts';
import type { AnswerHandler, Upstream, UpstreamCall } from './upstream.ts';

/** An upstream that is reached over HTTP, and gets the bytes as the client has sent them. */
export class HttpUpstream implements Upstream {
  readonly redact: Redact;
  readonly #id: string;
  readonly #model: string;
  readonly #pool: Pool;
  readonly #paths: ReadonlyMap<LlmSurface, string>;
  /** Names and values in turn: what undici takes without building anything. */
  readonly #headers: readonly string[];
  /** The same for bodies that bring their own `Content-Type`. */
  readonly #headersButType: readonly string[];
  /** Sent with the client's value, or else with this one; `null`: none is asked for, or the operator has set it. */
  readonly #version: HttpApi['version'];
  readonly #timeouts: Timeouts;

  /** @param baseUrl for example `https://api.openai.com/v1`; trusted, as all that the operator configures */
  constructor(config: DeploymentConfig, api: HttpApi, baseUrl: URL, pools: Pools) {
    this.#id = config.id;
    this.#model = config.model;
    this.#pool = pools.of(baseUrl.origin);
    this.#paths = api.pathsOn(baseUrl, config);
    const headers = fixedHeaders(config, api);
    this.#headers = [...headers].flat();
    this.#headersButType = [...headers].filter(([name]) => name !== 'content-type').flat();
    this.#version = api.version === null || headers.has(api.version[0]) ? null : api.version;
    this.#timeouts = createTimeouts(config);
    this.redact = createRedact(secretsOf(config));
  }

  #headersFor(contentType: string | null): string[] {
    if (contentType === null) return this.#headers.slice();
    return [...this.#headersButType, 'content-type', contentType];
  }

  /** Within its API only the upstream knows: it says 404 to what it does not serve. */
  serves(surface: Surface): boolean {
    return this.#paths.has(surface.name);
  }

  send(call: UpstreamCall, handler: AnswerHandler): void {
    const headers = this.#headersFor(call.body.contentType);
    headers.push('accept', acceptOf(call), 'x-request-id', call.id);
    addClientHeaders(headers, call.clientHeaders);
    if (call.trace !== null) addTrace(headers, call.trace);
    if (this.#version !== null) addVersion(headers, call.clientHeaders, this.#version);
    const options = {
      path: this.#paths.get(call.surface.name) as string,
      method: 'POST',
      body: call.body.withModel(this.#model),
      headers,
      // The attempt's own timer keeps the deadlines of a head; undici's would be the third one for it.
      headersTimeout: 0,
      bodyTimeout: deadlinesFor(call, this.#timeouts).idleMs,
    };
    try {
      this.#pool.dispatch(options, handler);
    } catch (error) {
      handler.reject(unreachable(this.#id, toError(error)));
    }
  }
}

function acceptOf({ surface, body }: UpstreamCall): string {
  if (surface.answer === 'bytes') return '*/*';
  return body.stream ? 'text/event-stream' : 'application/json';
}

function fixedHeaders(config: DeploymentConfig, api: HttpApi): ReadonlyMap<string, string> {
  const headers = new Map<string, string>([
    ['content-type', 'application/json'],
    // The bytes are looked at on their way: a compressed answer could not be.
    ['accept-encoding', 'identity'],
  ]);
  if (config.apiKey !== null) headers.set(...api.credentials(config.apiKey.reveal()));
  for (const [name, value] of Object.entries(config.headers)) headers.set(name.toLowerCase(), value);
  return headers;
}
